//! The origin's second door: the same answers over TLS.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::state::State;
use crate::{listen, serve};

/// Serves every connection to `address` over TLS, from now on; the address as bound.
pub(crate) fn open(
    address: SocketAddr,
    certificate: &Path,
    key: &Path,
    state: &Rc<State>,
) -> io::Result<SocketAddr> {
    let acceptor = TlsAcceptor::from(Arc::new(settings(certificate, key)?));
    let listener = listen(address)?;
    let address = listener.local_addr()?;
    spawn_local(accept(listener, acceptor, Rc::clone(state)));
    Ok(address)
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, state: Rc<State>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        state.connection();
        let (acceptor, state) = (acceptor.clone(), Rc::clone(&state));
        spawn_local(async move {
            // A client that does not trust us says so and goes.
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, state).await;
            }
        });
    }
}

fn settings(certificate: &Path, key: &Path) -> io::Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(io::Error::other)
}
