//! `kpidstat explore`: a recording as a page in the browser, served to this machine alone.

mod answer;
mod drawing;
mod guard;
mod server;
mod view;

use crate::{
    cli::{exit, explore::ExploreArgs},
    source::database,
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    process::{Command, Stdio},
};

/// Runs it until it is interrupted, and says the exit code.
pub fn run(args: &ExploreArgs) -> u8 {
    // What cannot be opened later cannot be opened now; better to say so before a browser starts.
    if let Err(error) = database::open(&args.database_file, true) {
        eprintln!("kpidstat: {error}");
        return exit::FAILED;
    }
    let address = SocketAddr::new(args.bind, args.port);
    let listener = match listen(address) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!(
                "kpidstat: cannot serve on {address}: {error}; choose another port with -p, or any with -p 0"
            );
            return exit::FAILED;
        }
    };
    // The port is known only now if it was 0.
    let address = listener.local_addr().unwrap_or(address);
    let page = format!("http://{address}/");
    eprintln!("kpidstat: {} is at {page} until you press Ctrl+C", args.database_file.display());
    if !args.no_browser {
        open_browser(&page);
    }
    match server::serve(listener, address, args.database_file.clone()) {
        Ok(()) => exit::OK,
        Err(error) => {
            eprintln!("kpidstat: {error}");
            exit::FAILED
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Opens the page where there is a desktop to open it on.
fn open_browser(page: &str) {
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(|name| std::env::var_os(name).is_some());
    if !desktop {
        return;
    }
    let mut browser = Command::new("xdg-open");
    browser.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = browser.spawn() {
        eprintln!("kpidstat: no browser was opened (xdg-open: {error})");
    }
}
