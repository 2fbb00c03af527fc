//! The description of these routes for programs: OpenAPI 3.1, written by hand, held
//! against the routes by a test.

/// The document.
pub const DOCUMENT: &str = include_str!("openapi.json");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::http::routes::{Act, ROUTES, Route};
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    /// Each `$ref` in a part of the document.
    fn references(part: &Value, found: &mut BTreeSet<String>) {
        match part {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| match value.as_str() {
                Some(target) if key == "$ref" => drop(found.insert(target.to_owned())),
                _ => references(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn it_has_every_route_and_no_other() {
        let document = document();
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                described.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        // The page and its files are for people.
        let is_for_programs = |route: &&Route| !matches!(route.act, Act::Index | Act::Asset(_));
        let served = ROUTES
            .iter()
            .filter(is_for_programs)
            .map(|route| format!("{} {}", route.method, route.path));
        assert_eq!(described, served.collect());
    }

    #[test]
    fn every_operation_says_what_its_path_holds() {
        let document = document();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let mut named = BTreeSet::new();
                references(&operation["parameters"], &mut named);
                for part in path.split('/').filter_map(|part| part.strip_prefix('{')) {
                    let target = format!("#/components/parameters/{}", part.trim_end_matches('}'));
                    assert!(named.contains(&target), "{method} {path} says nothing of {part}");
                }
            }
        }
    }

    #[test]
    fn everything_it_refers_to_is_there_and_used() {
        let document = document();
        let mut named = BTreeSet::new();
        references(&document, &mut named);
        for target in &named {
            let place = target.trim_start_matches('#');
            assert!(document.pointer(place).is_some(), "{target} is not there");
        }
        for (kind, parts) in document["components"].as_object().unwrap() {
            for name in parts.as_object().unwrap().keys().filter(|_| kind != "securitySchemes") {
                let target = format!("#/components/{kind}/{name}");
                assert!(named.contains(&target), "{target} is used nowhere");
            }
        }
    }

    #[test]
    fn it_has_every_code() {
        let document = document();
        let codes = document.pointer("/components/schemas/Problem/properties/code/enum").unwrap();
        let codes: BTreeSet<&str> =
            codes.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(codes, Code::ALL.iter().map(|code| code.as_str()).collect());
    }
}
