//! Findings about the business number itself. Pure.

use wa_signaling::graph::account::NumberInfo;

use super::Finding;
use super::facts::Number;
use super::judge::refused;

/// Messaging limits under the 2000 conversations a day that calling needs (138015).
const LOW: [&str; 3] = ["TIER_50", "TIER_250", "TIER_1K"];

pub(super) fn findings(number: &Number) -> Vec<Finding> {
    match &number.info {
        None => vec![Finding::skipped("number", "not asked")],
        Some(Err(error)) => vec![refused(
            "number",
            error,
            "write the id that the app dashboard shows beside the number, and give the system user its account",
        )],
        Some(Ok(info)) => {
            let mut findings = vec![display(info, number)];
            findings.extend(status(info));
            findings.extend(quality(info));
            findings
        }
    }
}

fn display(info: &NumberInfo, number: &Number) -> Finding {
    let Some(theirs) = &info.display else {
        return Finding::ok("number", "WhatsApp does not say which it is");
    };
    let digits: String = theirs.chars().filter(char::is_ascii_digit).collect();
    if digits == number.display {
        let name = info.verified_name.as_deref().unwrap_or("no name");
        return Finding::ok("number", format!("+{digits}, {name}"));
    }
    Finding::fault(
        "number",
        format!("WhatsApp says that {} is {theirs}, not +{}", number.id, number.display),
        "write the display and the phone_number_id of one and the same number",
    )
}

fn status(info: &NumberInfo) -> Option<Finding> {
    const CHECK: &str = "number status";
    let status = info.status.as_deref()?;
    let platform = info.platform.as_deref().unwrap_or("CLOUD_API");
    Some(if platform != "CLOUD_API" {
        Finding::fault(
            CHECK,
            format!("{status}, but on {platform}"),
            "register the number with the Cloud API: calls exist there alone",
        )
    } else if status == "CONNECTED" {
        Finding::ok(CHECK, status)
    } else {
        Finding::warning(CHECK, status, "see in the WhatsApp Manager why the number is not CONNECTED")
    })
}

fn quality(info: &NumberInfo) -> Option<Finding> {
    const CHECK: &str = "quality and limit";
    let quality = info.quality.as_deref().unwrap_or("not rated");
    let limit = info.messaging_limit.as_deref()?;
    let what = format!("{quality}, {limit}");
    Some(if LOW.contains(&limit) {
        Finding::warning(
            CHECK,
            what,
            "raise the messaging limit to 2000 or more: only test numbers may have calling below it (138015)",
        )
    } else if quality == "RED" {
        Finding::warning(CHECK, what, "see in the WhatsApp Manager why users block or report the number")
    } else {
        Finding::ok(CHECK, what)
    })
}
