//! Every screen at every size, from a story told as events.

mod camera;
mod story;

use camera::Camera;
use story::Story;

#[test]
#[ignore = "for looking at screens while working on them"]
fn show() {
    let w: u16 = std::env::var("W")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(80);
    let h: u16 = std::env::var("H")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(24);
    let story = match std::env::var("S").as_deref() {
        Ok("planned") => Story::planned(),
        Ok("started") => Story::planned().started(),
        Ok("pausing") => Story::pausing(),
        Ok("paused") => Story::paused(),
        Ok("catching") => Story::catching_up(),
        Ok("synced") => Story::synced(),
        Ok("corrupted") => Story::corrupted(),
        Ok("rolled") => Story::rolled_back(),
        Ok("stopped") => Story::stopped(),
        _ => Story::copying(),
    };
    let mut camera = Camera::new(w, h);
    if std::env::var("A").is_ok() {
        camera = camera.ascii();
    }
    println!("{}", camera.text(&story));
}
