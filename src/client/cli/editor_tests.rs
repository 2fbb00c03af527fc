use super::*;
use crate::client::event::Frame;
use proptest::prelude::*;

fn press(editor: &mut Editor, code: KeyCode) -> Action {
    editor.key(KeyEvent::new(code, KeyModifiers::NONE), &Vocabulary::default())
}

fn ctrl(editor: &mut Editor, c: char) -> Action {
    editor.key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL), &Vocabulary::default())
}

fn type_in(editor: &mut Editor, text: &str) {
    text.chars().for_each(|c| drop(press(editor, KeyCode::Char(c))));
}

#[test]
fn words_are_typed_moved_over_and_erased() {
    let mut editor = Editor::default();
    type_in(&mut editor, "pub news hello");
    ctrl(&mut editor, 'w');
    assert_eq!(editor.text(), "pub news ");
    ctrl(&mut editor, 'a');
    press(&mut editor, KeyCode::Delete);
    type_in(&mut editor, "P");
    assert_eq!(editor.text(), "Pub news ");
    ctrl(&mut editor, 'k');
    assert_eq!(editor.text(), "P");
    assert_eq!(ctrl(&mut editor, 'c'), Action::Discard("P".into()), "a line is given up first");
    type_in(&mut editor, "p");
    ctrl(&mut editor, 'u');
    assert_eq!(ctrl(&mut editor, 'd'), Action::End);
    assert_eq!(ctrl(&mut editor, 'c'), Action::Interrupt);
}

#[test]
fn alt_moves_and_erases_by_words_and_never_types() {
    let mut editor = Editor::default();
    let alt = |editor: &mut Editor, c: char| {
        let key = KeyEvent::new(KeyCode::Char(c), KeyModifiers::ALT);
        assert_eq!(editor.key(key, &Vocabulary::default()), Action::Redraw);
    };
    type_in(&mut editor, "pub news hello");
    for c in ['.', 'x', '<', 'D', 'é'] {
        alt(&mut editor, c);
    }
    assert_eq!(editor.text(), "pub news hello");
    ctrl(&mut editor, 'a');
    alt(&mut editor, 'f');
    alt(&mut editor, 'd');
    assert_eq!(editor.text(), "pub hello");
    alt(&mut editor, 'b');
    alt(&mut editor, 'd');
    assert_eq!(editor.text(), " hello");
    // Some keyboards make ordinary characters so.
    let both = KeyModifiers::ALT | KeyModifiers::CONTROL;
    editor.key(KeyEvent::new(KeyCode::Char('@'), both), &Vocabulary::default());
    assert_eq!(editor.text(), "@ hello");
}

#[test]
fn a_grapheme_is_one_step() {
    let mut editor = Editor::default();
    type_in(&mut editor, "a👨‍👩‍👧e\u{301}");
    press(&mut editor, KeyCode::Backspace);
    assert_eq!(editor.text(), "a👨‍👩‍👧");
    press(&mut editor, KeyCode::Left);
    press(&mut editor, KeyCode::Backspace);
    assert_eq!(editor.text(), "👨‍👩‍👧");
}

#[test]
fn the_history_comes_back_and_so_does_the_line_begun() {
    let mut editor = Editor::default();
    for line in ["one", "two", "two", " "] {
        type_in(&mut editor, line);
        assert_eq!(press(&mut editor, KeyCode::Enter), Action::Submit(line.into()));
    }
    type_in(&mut editor, "thr");
    for (key, text) in [
        (KeyCode::Up, "two"),
        (KeyCode::Up, "one"),
        (KeyCode::Up, "one"),
        (KeyCode::Down, "two"),
        (KeyCode::Down, "thr"),
        (KeyCode::Down, "thr"),
    ] {
        press(&mut editor, key);
        assert_eq!(editor.text(), text);
    }
}

#[test]
fn a_paste_of_several_lines_sends_each() {
    let mut editor = Editor::default();
    type_in(&mut editor, "pub n ");
    assert_eq!(editor.paste("a\tb\x1b[2J\r\nping\rwho\nta"), ["pub n a b[2J", "ping", "who"]);
    assert_eq!(editor.text(), "ta");
}

#[test]
fn tab_completes_as_far_as_it_can() {
    let mut vocabulary = Vocabulary::default();
    vocabulary.hear(&Frame::parse("msg operations 1 alice hi"));
    vocabulary.hear(&Frame::parse("msg operators 1 alice hi"));
    let mut editor = Editor::default();
    let tab = |editor: &mut Editor| {
        editor.key(KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE), &vocabulary)
    };
    type_in(&mut editor, "un");
    tab(&mut editor);
    assert_eq!(editor.text(), "unsub ");
    type_in(&mut editor, "o");
    assert_eq!(tab(&mut editor), Action::Redraw);
    assert_eq!(editor.text(), "unsub operat");
    assert_eq!(tab(&mut editor), Action::Show(vec!["operations".into(), "operators".into()]));
    type_in(&mut editor, "i");
    tab(&mut editor);
    assert_eq!(editor.text(), "unsub operations ");
}

#[test]
fn a_long_line_is_moved_sideways() {
    let mut editor = Editor::default();
    type_in(&mut editor, "abcdefghij");
    assert_eq!(editor.view(6), ("fghij", 5));
    ctrl(&mut editor, 'a');
    assert_eq!(editor.view(6), ("abcde", 0));
    assert_eq!(editor.view(20), ("abcdefghij", 0));
    assert_eq!(editor.view(0), ("", 0));
}

proptest! {
    #[test]
    fn whatever_keys_come_it_stays_sound(
        keys in prop::collection::vec((0_usize..18, any::<char>()), 0..60),
        columns in 0_usize..30,
    ) {
        let mut editor = Editor::default();
        for (key, c) in keys {
            let codes = [
                KeyCode::Backspace, KeyCode::Delete, KeyCode::Left, KeyCode::Right, KeyCode::Home,
                KeyCode::End, KeyCode::Up, KeyCode::Down, KeyCode::Tab, KeyCode::Enter,
            ];
            match key {
                0..10 => drop(press(&mut editor, codes[key])),
                10 => drop(ctrl(&mut editor, 'w')),
                11 => drop(ctrl(&mut editor, 'k')),
                12 => drop(editor.paste("é\u{301} x\u{200d}")),
                _ => drop(press(&mut editor, KeyCode::Char(c))),
            }
            let (view, at) = editor.view(columns);
            prop_assert!(columns == 0 || at < columns);
            prop_assert!(editor.text().contains(view));
            prop_assert!(editor.text().is_char_boundary(editor.cursor));
        }
    }
}
