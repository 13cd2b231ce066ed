use wa_signaling::PermissionRequest;

use super::*;
use crate::config::{Asking, Permission};

/// [`LEAST`] with these lines at its number.
fn number(lines: &str) -> String {
    format!("{LEAST}{lines}\n")
}

fn permission(lines: &str) -> Permission {
    good(&number(lines)).numbers.remove(0).permission
}

fn free_form(body: &str) -> PermissionRequest {
    PermissionRequest::FreeForm { body: body.to_owned() }
}

fn template() -> PermissionRequest {
    PermissionRequest::Template { name: "may_we_call".into(), language: "en_US".into(), body: Vec::new() }
}

#[test]
fn nothing_is_done_about_permissions_unless_it_is_written() {
    assert_eq!(good(LEAST).numbers[0].permission, Permission::Off);
    assert_eq!(permission("permission = \"off\""), Permission::Off);
    assert_eq!(permission("permission = \"check\""), Permission::Check);
}

#[test]
fn users_are_asked_by_text_by_template_or_by_both() {
    let asked = |request: &str| {
        permission(&format!("permission = \"request\"\npermission_request = {{ {request} }}"))
    };
    let by = |first, instead| Permission::Request(Asking { first, instead });
    assert_eq!(asked("text = \"May we?\""), by(free_form("May we?"), None));
    let named = "template = \"may_we_call\", language = \"en_US\"";
    assert_eq!(asked(named), by(template(), None));
    assert_eq!(asked(&format!("text = \"May we?\", {named}")), by(free_form("May we?"), Some(template())));
}

#[test]
fn what_is_incomplete_is_refused_with_a_remedy() {
    let long = "x".repeat(1025);
    for (lines, expected) in [
        ("permission = \"ask\"", "number.permission: \"ask\" is not known: write one of \"off\""),
        ("permission = \"request\"", "number.permission: \"request\" needs what is sent"),
        ("permission_request = { text = \"May we?\" }", "permission_request: is never sent"),
        (
            "permission = \"check\"\npermission_request = { text = \"May we?\" }",
            "permission_request: is never sent",
        ),
        ("permission = \"request\"\npermission_request = {}", "permission_request.text: is missing"),
        (
            "permission = \"request\"\npermission_request = { template = \"a\" }",
            "permission_request.language: is missing",
        ),
        (
            "permission = \"request\"\npermission_request = { language = \"en\" }",
            "permission_request.template: is missing",
        ),
        (
            "permission = \"request\"\npermission_request = { template = \"May we\", language = \"en\" }",
            "is no name of a template",
        ),
        (
            "permission = \"request\"\npermission_request = { template = \"a\", language = \"English\" }",
            "is no language of a template",
        ),
        ("permission = \"request\"\npermission_request = { text = \" \" }", "is empty"),
        (&format!("permission = \"request\"\npermission_request = {{ text = \"{long}\" }}"), "1024 at most"),
    ] {
        let errors = errors(&number(lines));
        assert!(errors.contains(expected), "{lines}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}
