//! Codes on what is not of one call: settings, permissions, messages.

use anyhow::{Context, Result, ensure};
use sandbox::whatsapp::{ApiError, BusinessNumber, GraphFault, Operation, Timings, WhatsApp, WhatsAppConfig};
use wa_signaling::graph::codes;
use wa_signaling::{
    Callee, ErrorKind, GraphClient, GraphConfig, GraphError, PermissionRequest, PhoneNumberId, Secret,
    SettingsChange,
};

use super::{numbers, table};

/// The operations, by the name that the table of codes has for them.
const OPERATIONS: [(&str, Operation); 4] = [
    ("settings", Operation::Settings),
    ("settings", Operation::SetSettings),
    ("call_permissions", Operation::CallPermissions),
    ("messages", Operation::Messages),
];

/// What is refused where, as what, with a business number for each.
fn cases() -> Result<Vec<(Operation, u32, ErrorKind)>> {
    let mut cases = Vec::new();
    for (name, operation) in OPERATIONS {
        let own = table::OTHERS.iter().filter(|(on, ..)| *on == name);
        cases.extend(own.map(|(_, code, kind)| (operation, *code, *kind)));
        let anywhere = |code: &&codes::Code| code.operations.contains(&codes::Operation::Any);
        for code in codes::CODES.iter().filter(anywhere) {
            let case = table::answer(code.first).with_context(|| format!("{} has no case", code.first))?;
            cases.push((operation, case.code, case.kind));
        }
    }
    Ok(cases)
}

async fn ask(
    client: &GraphClient,
    number: &PhoneNumberId,
    token: &Secret,
    operation: Operation,
) -> Result<(), GraphError> {
    let user = Callee::Phone("15550000001".to_owned());
    let request = PermissionRequest::FreeForm { body: "May we call you?".to_owned() };
    match operation {
        Operation::Settings => client.settings(number, token).await.map(drop),
        Operation::SetSettings => client.set_settings(number, token, &SettingsChange::Calling(true)).await,
        Operation::CallPermissions => client.call_permission(number, token, &user).await.map(drop),
        _ => client.request_permission(number, token, &user, &request).await.map(drop),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_of_settings_permissions_and_messages_has_its_kind() -> Result<()> {
    let cases = cases()?;
    let numbers: Vec<BusinessNumber> = numbers(cases.len());
    let default = WhatsAppConfig::new(String::new());
    let token = Secret::new(default.token.as_str());
    let config = WhatsAppConfig { more_numbers: numbers.clone(), timings: Timings::quick(), ..default };
    let whatsapp = WhatsApp::start(config).await?;
    let client = GraphClient::new(GraphConfig::new(whatsapp.graph_url(), "v25.0"))?;
    for ((operation, code, kind), number) in cases.into_iter().zip(numbers) {
        let number: PhoneNumberId = number.phone_number_id.parse()?;
        whatsapp.fault(operation, &GraphFault::Error(ApiError::of(code)), 1);
        let error = ask(&client, &number, &token, operation).await.err();
        let error = error.with_context(|| format!("{code} on {operation:?}: no error"))?;
        ensure!(error.kind() == kind, "{code} on {operation:?}: {:?}", error.kind());
        ensure!(matches!(&error, GraphError::Api(told) if told.code == code), "{error:?}");
    }
    Ok(())
}
