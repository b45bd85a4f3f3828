//! Decides which service a host and path belong to.
//!
//! Knows nothing of backends; does no I/O and allocates nothing while looking up.

/// Which hosts a route is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Every host.
    Any,
    /// This one, lower case, without a port.
    Exact(String),
    /// Every name below this one: `example.com` stands for `*.example.com`.
    Wildcard(String),
}

/// Finds the service of a request. `T` names a service.
#[derive(Clone, Debug)]
pub struct Table<T> {
    _services: Vec<T>,
}

impl<T: Copy> Table<T> {
    /// Builds the table. On two routes with the same host and path the first wins; `default` is for
    /// requests that no route matches.
    #[must_use]
    pub fn new(
        routes: impl IntoIterator<Item = (HostPattern, String, T)>,
        default: Option<T>,
    ) -> Self {
        let _ = (routes, default);
        Self { _services: Vec::new() }
    }

    /// The service for `host` (as in the request, with or without port, any case) and `path`
    /// (as in the request, without the query).
    ///
    /// An exact host wins over a wildcard, a longer wildcard over a shorter, any wildcard over
    /// [`HostPattern::Any`]; within one host the longest path prefix on a segment border wins. When
    /// a host has no matching path, less exact hosts are tried.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<T> {
        let _ = (host, path);
        None
    }
}
