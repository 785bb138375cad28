//! `kpidstat explore`: a recording as a page in the browser, served to this machine alone.

mod answer;
mod drawing;
mod guard;
mod key;
mod server;
mod view;

use crate::{
    cli::{exit, explore::ExploreArgs},
    source::database,
};
use key::{Gate, Key};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
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
    let served = Key::new().and_then(|key| {
        let page = format!("http://{address}/{}/", key.as_str());
        eprintln!("kpidstat: {} is at {page} until you press Ctrl+C", args.database_file.display());
        let _gate = if args.no_browser { None } else { open_browser(&page) };
        server::serve(listener, address, key, args.database_file.clone())
    });
    match served {
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

/// Opens the page where there is a desktop to open it on; what is handed back has to stay as long as the browser may look.
fn open_browser(page: &str) -> Option<Gate> {
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(|name| std::env::var_os(name).is_some());
    if !desktop {
        return None;
    }
    let opened = Gate::to(page).and_then(|gate| start_browser(gate.path()).map(|()| gate));
    opened.inspect_err(|error| eprintln!("kpidstat: no browser was opened (xdg-open: {error})")).ok()
}

fn start_browser(page: &Path) -> io::Result<()> {
    let mut browser = Command::new("xdg-open");
    browser.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    browser.spawn().map(|_| ())
}
