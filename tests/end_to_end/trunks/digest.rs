//! Passwords (RFC 3261 22): those the bridge demands, and its own.

use anyhow::{Result, ensure};
use end_to_end::{PATIENCE, at_rest};
use sandbox::pbx::{Direction, Ending, Login, PhoneConfig, Policy};

use super::*;

const DEMANDED: &str = r#"auth = { user = [{ name = "1001", password = { env = "PASSWORD" } }] }"#;
const OURS: &str = r#"credentials = { user = "1001", password = { env = "PASSWORD" } }"#;

async fn a_pbx_with_its_password_calls(login: Login) -> Result<()> {
    let desk = desk_of(PhoneConfig { login: Some(login), ..phone() }, DEMANDED).await?;
    let (call, _) = a_call_to_whatsapp(&desk, &desk.phone).await?;
    for direction in [Direction::SendOnly, Direction::SendRecv] {
        let change = call.change(direction).await?;
        ensure!(change.status == 200, "a call that was let in may be changed: {change:?}");
    }
    call.hang_up();
    ensure!(call.ended(PATIENCE).await? == Ending::HungUp);
    at_rest(&desk).await?;
    ensure!(call.invite_header("Authorization").is_some());
    ensure!(messages(&desk.phone, "SIP/2.0 401 ").len() == 1, "asked once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pbx_with_its_password_calls_by_sha_256() -> Result<()> {
    a_pbx_with_its_password_calls(login()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pbx_with_its_password_calls_by_md5() -> Result<()> {
    a_pbx_with_its_password_calls(login().md5()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_asked_again_and_never_reaches_whatsapp() -> Result<()> {
    let wrong = Login { password: "open barley".to_owned(), ..login() };
    let desk = desk_of(PhoneConfig { login: Some(wrong), ..phone() }, DEMANDED).await?;
    let call = desk.phone.dial(CALLEE).await?;
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Rejected { status: 401, .. }));
    at_rest(&desk).await?;
    ensure!(desk.whatsapp.requests().is_empty(), "{:?}", desk.whatsapp.requests());
    ensure!(messages(&desk.phone, "SIP/2.0 401 ").len() == 2);
    Ok(())
}

async fn a_challenge_is_answered(demanded: Login) -> Result<()> {
    let desk = desk_of(PhoneConfig { demands: Some(demanded), ..phone() }, OURS).await?;
    let (call, user) = a_call_from_whatsapp(&desk, &desk.phone).await?;
    ensure!(call.invite_header("Proxy-Authorization").is_some());
    user.hang_up();
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Bye { .. }));
    at_rest(&desk).await?;
    ensure!(messages(&desk.phone, "INVITE ").len() == 2, "asked once");
    let byes = messages(&desk.phone, "BYE ");
    ensure!(byes.last().is_some_and(|bye| bye.contains("Proxy-Authorization: ")), "{byes:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pbx_that_challenges_invite_and_bye_is_answered_by_sha_256() -> Result<()> {
    a_challenge_is_answered(login()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pbx_that_challenges_invite_and_bye_is_answered_by_md5() -> Result<()> {
    a_challenge_is_answered(login().md5()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pbx_that_does_not_take_our_password_rejects_the_user_without_a_third_try() -> Result<()> {
    let other = Login { password: "open barley".to_owned(), ..login() };
    let desk = desk_of(PhoneConfig { demands: Some(other), ..phone() }, OURS).await?;
    a_call_in_vain(&desk).await?;
    at_rest(&desk).await?;
    ensure!(messages(&desk.phone, "INVITE ").len() == 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_challenged_is_taken_back_while_it_rings() -> Result<()> {
    let phone = PhoneConfig { demands: Some(login()), policy: Policy::Ring, ..phone() };
    let desk = desk_of(phone, OURS).await?;
    let user = calling(&desk)?;
    let call = desk.phone.incoming(PATIENCE).await?;
    call.status(180, PATIENCE).await?;
    user.hang_up();
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Cancelled { .. }));
    at_rest(&desk).await
}
