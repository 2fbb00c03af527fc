//! The rules that look at one file.

use super::source::Source;

/// Lines that a file may have before its tests: about one noun, and what one
/// can hold in mind.
const LINES_MAX: usize = 400;

pub(crate) fn too_long(source: &Source) -> Vec<String> {
    let lines = source.code_before_tests().lines().count();
    if lines <= LINES_MAX {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines before its tests, at most {LINES_MAX}: split it", source.path)]
}

pub(crate) fn names_async_std(source: &Source) -> Vec<String> {
    if source.path == "src/runtime.rs" {
        return Vec::new();
    }
    let complaint = "names async_std: go through src/runtime.rs";
    found(source, &source.code, &["async_std"], complaint)
}

pub(crate) fn unfinished(source: &Source) -> Vec<String> {
    let signs = ["todo!", "unimplemented!", "#[ignore"];
    found(source, &source.code, &signs, "unfinished work, or a test that does not run")
}

fn found(source: &Source, code: &str, signs: &[&str], complaint: &str) -> Vec<String> {
    let lines = code.lines().enumerate();
    lines
        .filter(|(_, line)| signs.iter().any(|sign| line.contains(sign)))
        .map(|(number, _)| format!("{}:{}: {complaint}", source.path, number + 1))
        .collect()
}

#[test]
fn one_line_too_many_is_too_long() {
    let tests = "#[cfg(test)]\nmod tests {\n\n\n}\n";
    let file = |lines| Source::new("src/a.rs", &format!("{}{tests}", "x;\n".repeat(lines)));
    assert!(too_long(&file(LINES_MAX)).is_empty());
    assert_eq!(
        too_long(&file(LINES_MAX + 1)),
        ["src/a.rs: 401 lines before its tests, at most 400: split it"]
    );
}

#[test]
fn the_runtime_is_named_in_its_file_and_in_comments_only() {
    let code = "//! Not async_std.\nuse async_std::task;\n";
    assert!(names_async_std(&Source::new("src/runtime.rs", code)).is_empty());
    assert_eq!(
        names_async_std(&Source::new("src/server.rs", code)),
        ["src/server.rs:2: names async_std: go through src/runtime.rs"]
    );
}

#[test]
fn work_left_undone_is_found() {
    let code =
        "fn a() {\n    todo!()\n}\n#[ignore = \"slow\"]\nfn b() {\n    unimplemented!()\n}\n";
    let found = unfinished(&Source::new("src/a.rs", code));
    let lines: Vec<&str> = found.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["src/a.rs:2", "src/a.rs:4", "src/a.rs:6"]);
    assert!(unfinished(&Source::new("src/a.rs", "// todo! later\nlet x = \"todo!\";")).is_empty());
}
