//! Every screen at every size, from a story told as events.

mod camera;
mod chance;
mod laws;
mod pictures;
mod story;

use camera::{Camera, Film};
use story::Story;
use tidegate::tui::model::Screen;

/// `W=120 H=36 S=paused X=map cargo test --test screen show -- --ignored --nocapture`
#[test]
#[ignore = "for looking at one screen while working on it"]
fn show() {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let w: u16 = var("W").parse().unwrap_or(80);
    let h: u16 = var("H").parse().unwrap_or(24);
    let story = Story::called(&var("S"));
    let screen = Screen::ALL
        .into_iter()
        .find(|s| s.label().eq_ignore_ascii_case(&var("X")))
        .unwrap_or_default();
    let film = if var("A").is_empty() {
        Film::Colour
    } else {
        Film::Ascii
    };
    let camera = Camera::new(w, h).on(screen).knowing(&story).film(film);
    println!("{}", camera.text(&story));
}
