use std::collections::BTreeSet;

use super::*;

/// Fails to compile when a cause is new: it has to be in `OWN` as well.
const fn is_own(cause: Cause) -> bool {
    match cause {
        Cause::Graph(_) => false,
        Cause::PbxHungUp
        | Cause::UserHungUp
        | Cause::PbxCancelled
        | Cause::UserCancelled
        | Cause::UserRejected
        | Cause::UserDeclined
        | Cause::NoAnswer
        | Cause::RingLimit
        | Cause::WhatsAppFailed(_)
        | Cause::MediaFailed
        | Cause::PbxSilent
        | Cause::UserSilent
        | Cause::WhatsAppSdp
        | Cause::PbxSdp
        | Cause::AckMissing
        | Cause::PbxRefused(_)
        | Cause::PbxTimeout
        | Cause::PbxUnreachable
        | Cause::PbxNoAnswer
        | Cause::PbxGone
        | Cause::Replaced
        | Cause::NothingToReplace
        | Cause::TransferRefused
        | Cause::TransferPending
        | Cause::NoRoute
        | Cause::NoMediaResource
        | Cause::TooManyCalls
        | Cause::TooManyCallsPerSecond
        | Cause::DestinationRefused
        | Cause::EmergencyNumber
        | Cause::SpendLimit
        | Cause::LongestCall
        | Cause::SessionExpired
        | Cause::Transferred
        | Cause::TransferFailed
        | Cause::Redirected
        | Cause::NoTarget
        | Cause::UnknownNumber
        | Cause::ClosedHours
        | Cause::RouteRejected
        | Cause::Announced
        | Cause::ShuttingDown
        | Cause::Starting
        | Cause::Crash
        | Cause::UnknownCall
        | Cause::Internal => true,
    }
}

#[test]
fn the_page_of_errors_is_what_the_tables_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == markdown(),
        "docs/errors.md is not what the tables say: write it anew with `cargo run -p bridge -- errors > docs/errors.md`"
    );
}

#[test]
fn every_code_has_a_line_and_every_line_its_columns() {
    let page = markdown();
    for code in CODES {
        let begin = format!("| {} ", code.first);
        let line = page.lines().find(|line| line.starts_with(&begin)).expect("a line");
        assert_eq!(line.matches('|').count(), 12, "{line}");
    }
}

#[test]
fn own_causes_are_listed_once() {
    assert!(OWN.iter().all(|cause| is_own(*cause)));
    let lines: BTreeSet<_> = OWN.iter().map(|cause| heard(&cause.row())).collect();
    assert_eq!(lines.len(), OWN.len());
}

#[test]
fn every_kind_of_error_is_on_the_page() {
    let page = markdown();
    for kind in CODES.iter().map(|code| code.kind).chain(WITHOUT_CODE.iter().map(|(kind, _)| *kind)) {
        let label = format!("`{}`", Cause::Graph(kind).row().label);
        assert!(page.contains(&label) || kind == ErrorKind::ConnectionError, "{label}");
    }
}

#[test]
fn a_remedy_can_stand_in_a_header() {
    let kinds = CODES.iter().map(|code| code.kind).chain(WITHOUT_CODE.iter().map(|(kind, _)| *kind));
    for kind in kinds {
        let remedy = remedy::of(kind);
        assert!(
            remedy.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'),
            "{remedy}"
        );
    }
}
