//! The control API: everything that steers the sandbox, by HTTP and JSON. See docs/sandbox.md.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::hub::Hub;

pub(crate) fn serve(hub: &Arc<Hub>, listener: TcpListener) -> std::io::Result<SocketAddr> {
    let addr = listener.local_addr()?;
    let _ = hub;
    Ok(addr)
}
