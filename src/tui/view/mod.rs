//! Screens, drawn from one [`Picture`] and nothing else: no clock, no I/O, nothing changed.
//!
//! [`frame`] is the only way in. Every screen stands under the header's answers and over the hints.

mod diff;
mod foot;
mod header;
mod log;
mod map;
mod marks;
mod overview;
mod scene;
mod shadow;
mod small;
mod timeline;
pub(super) mod words;

use super::help;
use super::model::{Picture, Screen, Width};
use super::theme::Role;
use crate::tui::widget::row::{heading, paint};
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::style::Modifier;
use scene::Scene;

/// Draws a whole frame. The area is cleared first; nothing is drawn outside of it.
pub fn frame(picture: &Picture, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    if area.is_empty() {
        return;
    }
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            buf[(x, y)].reset();
        }
    }
    let scene = Scene::new(picture);
    if Width::of(Size::new(area.width, area.height)) == Width::Tiny {
        small::draw(&scene, area, buf);
        return;
    }
    let width = usize::from(area.width);
    let top = header::height(&scene, width);
    paint(&header::header(&scene, width), area, buf);
    let foot = foot::foot(&scene, width);
    let below = (foot.len() as u16).min(area.height.saturating_sub(top));
    let body = Rect {
        y: area.y + top,
        height: area.height.saturating_sub(top + below),
        ..area
    };
    match picture.ui.screen {
        Screen::Overview => overview::draw(&scene, body, buf),
        Screen::Map => map::draw(&scene, body, buf),
        Screen::Diff => diff::draw(&scene, body, buf),
        Screen::Shadow => shadow::draw(&scene, body, buf),
        Screen::Timeline => timeline::draw(&scene, body, buf),
        Screen::Log => log::draw(&scene, body, buf),
        Screen::Help => {
            let (_, lines) = help::laid_out(picture, body.width);
            let lines = lines.len();
            let end = format!("from line {} of {lines}", (picture.ui.help + 1).min(lines));
            paint(&[heading(picture.theme, width, "Help", &end)], body, buf);
            let below = Rect {
                y: body.y.saturating_add(1),
                height: body.height.saturating_sub(1),
                ..body
            };
            help::draw(picture, below, buf);
        }
    }
    if picture.stale() {
        dim(&scene, body, buf);
    }
    let bottom = Rect {
        y: body.bottom(),
        height: below,
        ..area
    };
    paint(&foot, bottom, buf);
}

/// What may no longer be true looks like it: no colour, no weight.
fn dim(s: &Scene, area: Rect, buf: &mut Buffer) {
    let style = s.theme.style(Role::Off);
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            let cell = &mut buf[(x, y)];
            cell.modifier.remove(Modifier::BOLD);
            cell.set_style(style);
        }
    }
}
