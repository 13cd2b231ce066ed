//! The sandbox: the real bridge between a simulated WhatsApp and a SIP phone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use sandbox::desk::{Desk, DeskConfig};
use sandbox::report;
use sandbox::runner::{self, CALLED, Fault};
use sandbox::whatsapp::{Behaviour, UserCall, WhatsAppConfig, scenario};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

/// Two calls through the real bridge, one each way, with sound and digits; then a WhatsApp to play with.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// End after the two calls: status 0 if both were good, 1 if not.
    #[arg(long)]
    once: bool,
    /// Address to listen on; that of this machine's network card lets other machines call.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST.into())]
    ip: IpAddr,
    /// SIP port of the bridge while the sandbox stays up.
    #[arg(long, default_value_t = 5060)]
    sip_port: u16,
    /// Port of the control API, on this machine only, while the sandbox stays up; 0 for any.
    #[arg(long, default_value_t = 0)]
    control_port: u16,
    /// A PBX of yours, ADDRESS:PORT: calls from WhatsApp go there. No demonstration.
    #[arg(long, conflicts_with_all = ["once", "fault"])]
    pbx: Option<SocketAddr>,
    /// Lets something go wrong, to see that it is found.
    #[arg(long)]
    fault: Option<Fault>,
    /// Logs to standard error; twice for everything. RUST_LOG is honoured too.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(arguments.verbose);
    match run(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(verbose: u8) {
    let level = ["off", "info", "debug"][usize::from(verbose.min(2))];
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// True when everything was as it should be. Ctrl-C ends a sandbox that stays up, and breaks one that does not.
async fn run(arguments: &Arguments) -> Result<bool> {
    let desk = Desk::start(configure(arguments)).await?;
    let good = tokio::select! {
        good = show(&desk, arguments) => good,
        _ = tokio::signal::ctrl_c() => !arguments.once,
    };
    desk.shutdown().await;
    Ok(good)
}

/// The demonstration, and what comes after it.
async fn show(desk: &Desk, arguments: &Arguments) -> bool {
    let mut good = true;
    if arguments.pbx.is_none() {
        println!("The real bridge, a simulated WhatsApp, and a SIP phone that plays the PBX.\n");
        let first = runner::to_whatsapp(desk).await;
        println!("{}", report::call(1, &first, &desk.ladder));
        let second = runner::from_whatsapp(desk, arguments.fault).await;
        println!("{}", report::call(2, &second, &desk.ladder));
        let reports = [first, second];
        println!("{}\n", report::verdict(&reports));
        good = reports.iter().all(runner::Report::is_good);
    }
    if !arguments.once {
        stay(desk, arguments).await;
    }
    good
}

fn configure(arguments: &Arguments) -> DeskConfig {
    let fault = arguments.fault;
    let directory = move |number: &str| match number {
        CALLED => Behaviour { tone_hz: Fault::user_hz(fault), ..scenario::by_number(number) },
        other => scenario::by_number(other),
    };
    let mut sources = vec!["127.0.0.0/8".to_owned()];
    if !arguments.ip.is_loopback() {
        sources.extend(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(str::to_owned));
    }
    DeskConfig {
        ip: arguments.ip,
        sip_port: if arguments.once { 0 } else { free_port(arguments.ip, arguments.sip_port) },
        sources,
        pbx: arguments.pbx,
        whatsapp: WhatsAppConfig {
            directory: Arc::new(directory),
            control: (!arguments.once).then_some((Ipv4Addr::LOCALHOST, arguments.control_port).into()),
            ..WhatsAppConfig::new(String::new())
        },
        ..DeskConfig::default()
    }
}

/// The port that is wanted, or any where it is taken (a PBX on this machine has 5060).
fn free_port(ip: IpAddr, wanted: u16) -> u16 {
    if UdpSocket::bind((ip, wanted)).is_ok() { wanted } else { 0 }
}

/// Serves the user's own telephone, and the keyboard.
async fn stay(desk: &Desk, arguments: &Arguments) {
    let target = arguments.pbx.map_or("the built-in phone, which answers".to_owned(), |pbx| pbx.to_string());
    println!("{}", report::invitation(desk.bridge.sip_addr(), &target));
    if let Some(addr) = desk.whatsapp.control_addr() {
        println!("Graph API:   {} (its token and ids: docs/sandbox.md)", desk.whatsapp.graph_url());
        println!("Control API: http://{addr}/ (docs/sandbox.md)\n");
    }
    let mut keys = keyboard();
    while let Some(line) = keys.recv().await {
        match line.trim() {
            "c" => call_in(desk),
            "l" => println!("{}", latest(desk)),
            "q" => return,
            _ => println!("c: call in, l: ladder, q: end"),
        }
    }
    // No keyboard: only Ctrl-C ends it.
    std::future::pending::<()>().await;
}

fn call_in(desk: &Desk) {
    let call = UserCall {
        hang_up_after: Some(Duration::from_secs(30)),
        ..UserCall::new("15550000100", "Ada Lovelace")
    };
    desk.ladder.forget(&call.from);
    match desk.whatsapp.call_business(call) {
        Ok(_) => println!("Ada Lovelace (15550000100) calls; she hangs up after 30 s."),
        Err(error) => println!("She cannot call: {error}"),
    }
}

fn latest(desk: &Desk) -> String {
    desk.whatsapp.calls().last().map_or("No call yet.".to_owned(), |call| desk.ladder.print(call.number()))
}

/// Lines from the keyboard; a thread, since reading it blocks. It ends with the program.
fn keyboard() -> mpsc::Receiver<String> {
    let (lines, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
