//! The table of commands as a whole.

use crate::desk::Desk;
use crate::story::Story;
use tidegate::tui::commands::{Act, Place, TABLE, hints};
use tidegate::tui::keymap::Keymap;
use tidegate::tui::model::{Popup, Screen};
use tidegate::tui::palette::matching;
use tidegate::tui::update::Scene;

#[test]
fn every_command_is_reachable_and_explained() {
    for entry in TABLE {
        assert!(
            !entry.keys.is_empty() || !entry.words.is_empty(),
            "{} has neither key nor word",
            entry.id
        );
        assert!(
            !entry.help.is_empty() && !entry.label.is_empty(),
            "{}",
            entry.id
        );
        if entry.place == Place::Palette {
            assert!(!entry.words.is_empty(), "{}", entry.id);
        }
        if let Some(word) = entry.words.first() {
            assert_eq!(matching(word)[0].id, entry.id, "the palette finds {word}");
        }
    }
}

#[test]
fn no_name_word_or_act_stands_twice() {
    for (i, a) in TABLE.iter().enumerate() {
        for b in &TABLE[i + 1..] {
            assert_ne!(a.id, b.id);
            assert_ne!(a.act, b.act, "{} and {}", a.id, b.id);
            let shared: Vec<_> = a.words.iter().filter(|w| b.words.contains(w)).collect();
            assert!(shared.is_empty(), "{} and {} share {shared:?}", a.id, b.id);
        }
    }
}

#[test]
fn no_conflicts_and_no_capital_without_a_class() {
    let map = Keymap::default();
    assert_eq!(map.problems, Vec::<String>::new());
    for binding in map.bindings() {
        let key = binding.keys[0].to_string();
        let capital = key.len() == 1 && key.chars().all(|c| c.is_ascii_uppercase());
        // vim's G and N move, ZZ leaves, and R where nothing can be repaired only says so.
        let known = matches!(
            binding.entry.act,
            Act::Move(_) | Act::PrevMatch | Act::Quit | Act::Refresh
        );
        if capital && !known {
            assert!(
                binding.entry.class.is_some(),
                "{key} → {}",
                binding.entry.id
            );
        }
        if !capital && key != "!" {
            assert!(
                binding.entry.class.is_none(),
                "{key} → {}: lower case looks",
                binding.entry.id
            );
        }
    }
}

#[test]
fn no_default_key_needs_a_bracket_or_alt() {
    for binding in Keymap::default().bindings() {
        for key in &binding.keys {
            let text = key.to_string();
            assert!(!text.starts_with("Alt-"), "{text}");
            assert!(
                !["[", "]", "{", "}", "`", "\\", "|", "~"].contains(&text.as_str()),
                "{text}"
            );
        }
    }
}

#[test]
fn the_keys_in_the_bar_are_the_keys_that_work() {
    let mut desk = Desk::of(Story::copying());
    let screens = [
        Screen::Overview,
        Screen::Map,
        Screen::Diff,
        Screen::Shadow,
        Screen::Timeline,
        Screen::Log,
        Screen::Help,
    ];
    for screen in screens {
        desk.ui.screen = screen;
        let scene = Scene::now(&desk.story.state);
        let hints = hints(&scene.picture(&desk.ui));
        assert!(
            hints.looks.iter().any(|h| h.key == "q"),
            "{screen:?} says how to leave"
        );
        assert!(
            hints.acts.iter().any(|h| h.key == "P"),
            "{screen:?} has the brake"
        );
        assert_eq!(hints.off, None);
        for hint in hints.looks.iter().chain(&hints.acts) {
            assert!(!hint.key.is_empty() && !hint.label.is_empty());
        }
    }
}

#[test]
fn the_help_lists_every_key() {
    let mut desk = Desk::of(Story::copying());
    desk.press("?");
    let scene = Scene::now(&desk.story.state);
    let lines = tidegate::tui::help::lines(&scene.picture(&desk.ui));
    let text: String = lines
        .iter()
        .map(|l| l.iter().map(|(t, _)| t.as_str()).collect::<String>() + "\n")
        .collect();
    for entry in TABLE {
        assert!(text.contains(entry.help), "{} is missing", entry.id);
    }
    assert!(!text.contains('*'), "no key was changed: {text}");
    desk.press("/pause<Enter>");
    assert!(desk.ui.popup.is_none());
    let scene = Scene::now(&desk.story.state);
    let fewer = tidegate::tui::help::lines(&scene.picture(&desk.ui));
    assert!(fewer.len() < lines.len() && !fewer.is_empty());
}

#[test]
fn remapped_keys_work_and_the_old_ones_do_not() {
    use std::collections::BTreeMap;
    use tidegate::tui::keymap::Keys;
    let mut desk = Desk::of(Story::copying());
    let wanted = BTreeMap::from([("pause".to_string(), Keys::One("F9".into()))]);
    desk.ui.keymap = Keymap::new(&wanted);
    desk.press("P");
    assert!(desk.sent().is_empty());
    desk.press("<F9>");
    assert_eq!(desk.sent().len(), 1);
    desk.press("?");
    let scene = Scene::now(&desk.story.state);
    let lines = tidegate::tui::help::lines(&scene.picture(&desk.ui));
    let marked = lines
        .iter()
        .any(|l| l.first().is_some_and(|(t, _)| t.contains("F9*")));
    assert!(marked, "a changed key is marked");
    desk.press(":keys<Enter>");
    assert!(
        matches!(&desk.ui.popup, Some(Popup::Text(_, lines, _)) if lines.iter().any(|l| l.contains("pause: F9")))
    );
}

#[test]
fn the_document_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/keys.md");
    let made = tidegate::tui::help::document();
    if std::env::var_os("TIDEGATE_WRITE").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == made,
        "assets/keys.md is old: run this test with TIDEGATE_WRITE=1"
    );
}
