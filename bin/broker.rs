//! The broker.
fn main() {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let mut args = std::env::args().skip(1);
    let mut config = ranked_broker::config::Config::default();
    if let Some(host) = args.next() {
        config.host = host;
    }
    if let Some(port) = args.next() {
        config.port = port.parse().unwrap();
    }
    if let Err(e) = ranked_broker::server::run(config) {
        eprintln!("broker: {e}");
        std::process::exit(1);
    }
}
