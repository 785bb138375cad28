//! What `kpidstat explore` takes.

use clap::Args;
use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

/// `kpidstat explore`.
#[derive(Clone, Debug, Args)]
#[command(max_term_width = 110)]
pub struct ExploreArgs {
    /// The recording to look at
    #[arg(short = 'd', long, value_name = "FILE")]
    pub database_file: PathBuf,

    /// Address to serve on: one of this machine's own, which nobody else reaches
    #[arg(short = 'b', long, value_name = "ADDRESS", default_value = "localhost", value_parser = loopback)]
    pub bind: IpAddr,

    /// Port to serve on; 0 takes a free one
    #[arg(short = 'p', long, value_name = "PORT", default_value_t = 8000)]
    pub port: u16,

    /// Only say the address, open no browser
    #[arg(long)]
    pub no_browser: bool,

    /// Accepted for Procpath's sake; there is nothing to download
    #[arg(long, value_name = "URL", hide = true)]
    pub build_url: Option<String>,

    /// Accepted for Procpath's sake; there is nothing to install
    #[arg(long, hide = true)]
    pub reinstall: bool,
}

fn loopback(text: &str) -> Result<IpAddr, String> {
    if text.is_empty() || text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let address: IpAddr =
        text.parse().map_err(|_| "it is localhost or an address like 127.0.0.1".to_owned())?;
    if address.is_loopback() {
        return Ok(address);
    }
    Err("explore serves on this machine only, for a recording shows what all processes did; from elsewhere use \
         ssh -L 8000:localhost:8000 HOST"
        .into())
}

#[cfg(test)]
mod tests {
    use super::loopback;

    #[test]
    fn only_the_machine_itself() {
        for own in ["", "localhost", "127.0.0.1", "127.9.9.9", "::1"] {
            assert!(loopback(own).is_ok_and(|address| address.is_loopback()), "{own}");
        }
        for other in ["0.0.0.0", "::", "192.168.1.1", "example.org", "::ffff:127.0.0.1"] {
            assert!(loopback(other).is_err(), "{other}");
        }
    }
}
