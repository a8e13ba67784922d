//! Every screen at every size, from a story told as events.

mod camera;
mod story;

use camera::Camera;
use story::Story;
use tidegate::tui::model::Screen;

#[test]
#[ignore = "for looking at screens while working on them"]
fn show() {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let w: u16 = var("W").parse().unwrap_or(80);
    let h: u16 = var("H").parse().unwrap_or(24);
    let story = match var("S").as_str() {
        "planned" => Story::planned(),
        "started" => Story::planned().started(),
        "pausing" => Story::pausing(),
        "paused" => Story::paused(),
        "catching" => Story::catching_up(),
        "synced" => Story::synced(),
        "corrupted" => Story::corrupted(),
        "rolled" => Story::rolled_back(),
        "stopped" => Story::stopped(),
        _ => Story::copying(),
    };
    let screen = match var("X").as_str() {
        "map" => Screen::Map,
        "diff" => Screen::Diff,
        "shadow" => Screen::Shadow,
        "time" => Screen::Timeline,
        "log" => Screen::Log,
        "help" => Screen::Help,
        _ => Screen::Overview,
    };
    let camera = Camera::new(w, h).on(screen).knowing(&story);
    if !var("A").is_empty() {
        return println!("{}", camera.ascii().text(&story));
    }
    println!("{}", camera.text(&story));
}
