//! Every default in one place, written as a user would write it, each with its why.
//!
//! The reader, the JSON Schema and the tests of `configs/full.yaml` all use these.

// --- The process. ---

/// One worker per core: workers share nothing, so more would only compete.
pub(crate) const WORKERS: &str = "auto";
/// Longer than almost any request, shorter than the 90 s after which service managers kill.
pub(crate) const SHUTDOWN_TIMEOUT: &str = "30s";
/// Where it may write is for the operator to say; without it everything works but its memory.
pub(crate) const STATE_DIR: &str = "off";
/// Loopback: nobody outside can reach the admin listener unless the operator says so.
pub(crate) const ADMIN_ADDRESS: &str = "127.0.0.1:9900";
/// The command line tool finds it without a word, and nobody else may open it.
pub(crate) const ADMIN_SOCKET: &str = "auto";

// --- Clients of a listener. ---

/// Enough for a busy site; about 200 MB at 20 KB a connection.
pub(crate) const CONNECTIONS: &str = "10000";
/// A head is one packet or two; who needs longer than this is probably holding us up on purpose.
pub(crate) const HEADER_TIMEOUT: &str = "10s";
/// As nginx: clients that reuse connections are used to it.
pub(crate) const IDLE_TIMEOUT: &str = "75s";
/// No progress for this long means the other side is gone; slow but moving bodies are fine.
pub(crate) const BODY_TIMEOUT: &str = "30s";
/// As nginx's four buffers of 8 KiB: large cookies fit.
pub(crate) const HEADER_BYTES: &str = "32KiB";
/// Browsers send about twenty; the parser's own limit is the same.
pub(crate) const HEADERS: &str = "100";
/// One address may not take all; behind most gateways there are fewer people than this.
pub(crate) const CONNECTIONS_PER_CLIENT: &str = "2000";
/// A handshake is two round trips; this is for the far end of a bad line.
pub(crate) const HANDSHAKE_TIMEOUT: &str = "10s";
/// A body that drips more slowly than this ties us up on purpose.
pub(crate) const BODY_PROGRESS: &str = "1KiB";
/// Longer than any URL that browsers and other proxies agree on.
pub(crate) const URI_BYTES: &str = "8KiB";
/// Bodies stream through: their size costs nothing here. The backend knows what it can take.
pub(crate) const BODY_BYTES: &str = "off";
/// RFC 9113 6.5.2 advises at least 100; more only helps floods.
pub(crate) const STREAMS: &str = "128";
/// Connections do not wear out.
pub(crate) const REQUESTS: &str = "off";
/// Connections find their way to a new process, address or policy within the hour.
pub(crate) const CONNECTION_AGE: &str = "1h";
/// Whoever speaks TLS can speak HTTP/2.
pub(crate) const HTTP2: &str = "true";
/// Nobody speaks it in the clear by accident; those who do know that they do.
pub(crate) const H2C: &str = "false";
/// Versions that all living clients speak, and nothing weak in them.
pub(crate) const TLS_POLICY: &str = "intermediate";
/// Who asks for client certificates means it.
pub(crate) const CLIENT_AUTH_MODE: &str = "required";
/// Requests in the clear are for a service unless the operator says otherwise.
pub(crate) const REDIRECT_HTTPS: &str = "false";
/// The port of `https`.
pub(crate) const REDIRECT_PORT: &str = "443";
/// Keeps the method and may be remembered.
pub(crate) const REDIRECT_STATUS: &str = "308";
/// Browsers remember it for long: nobody should promise that by accident.
pub(crate) const HSTS: &str = "off";
/// Names below are often somebody else's.
pub(crate) const HSTS_SUBDOMAINS: &str = "false";
/// To leave those lists again takes months.
pub(crate) const HSTS_PRELOAD: &str = "false";
/// A year, as the lists of browsers ask for.
pub(crate) const HSTS_MAX_AGE: &str = "8760h";
/// As nginx: a client that closes its side has usually gone away.
pub(crate) const HALF_CLOSE: &str = "false";

// --- Routes. ---

/// Everything.
pub(crate) const ROUTE_PATH: &str = "/";

// --- Probes. ---

/// Probes have no effects on the backend.
pub(crate) const PROBE_METHOD: &str = "GET";
/// Every server has it.
pub(crate) const PROBE_PATH: &str = "/";
/// Any complete answer below 500: a login page or a 404 on `/` still shows a working server.
pub(crate) const PROBE_STATUS: &str = "200-499";
/// One probe a second costs a backend nothing and bounds detection without traffic.
pub(crate) const INTERVAL: &str = "1s";
/// Servers that need longer than this to answer a probe are not well.
pub(crate) const PROBE_TIMEOUT: &str = "1s";
/// Three failures in a row then take 0.2 s: short for clients, long enough for a lost packet.
pub(crate) const CONFIRM_INTERVAL: &str = "100ms";
/// Well above usual answer times; a false alarm costs three probes and nothing else.
pub(crate) const STALL_AFTER: &str = "250ms";
/// One good probe may be luck.
pub(crate) const RISE: &str = "2";
/// Two lost probes may be the network; three within 0.2 s are not.
pub(crate) const FALL: &str = "3";

// --- When the active changes. ---

/// The primary gets the service back by itself.
pub(crate) const FAILBACK: &str = "auto";
/// Longer than a restart that comes up, crashes, and comes up again.
pub(crate) const HOLD_DOWN: &str = "30s";
/// A failover this soon after a failback means the primary was not ready.
pub(crate) const DAMPING_WINDOW: &str = "10m";
/// Even a primary that flapped all night gets another chance each hour.
pub(crate) const HOLD_DOWN_CAP: &str = "1h";
/// Never: a service that locks itself needs somebody awake to unlock it.
pub(crate) const LOCK_AFTER: &str = "off";
/// The hold-down says the same in time, which does not change with the interval of probes.
pub(crate) const PASSES: &str = "0";
/// A move does not hurt requests that are in flight: the old active answers them.
pub(crate) const IN_FLIGHT_BELOW: &str = "off";
/// Always: a primary that is well again serves again.
pub(crate) const WINDOW: &str = "off";
/// The one zone whose clocks are never changed.
pub(crate) const TIME_ZONE: &str = "UTC";
/// New requests never overlap; to wait for the running ones makes all others wait, at every move.
pub(crate) const EXCLUSIVE: &str = "false";
/// Half the time that requests are held: whoever waits for the move still gets an answer.
pub(crate) const EXCLUSIVE_DRAIN: &str = "5s";
/// Every write that a backend passes on can then be refused when it comes late; who does not look at
/// it loses nothing.
pub(crate) const EPOCH_HEADER: &str = "X-Understudy-Epoch";
/// A target that cannot do its work shows that within its first requests or probes.
pub(crate) const VERIFY: &str = "10s";
/// When nobody is eligible an honest 503 is better than a request lost in a dead backend.
pub(crate) const ALL_DOWN: &str = "reject";
/// Time for the first verdict on the primary, even when one probe of it times out and is repeated.
pub(crate) const STARTUP_GRACE: &str = "3s";

// --- Requests that wait or are sent again. ---

/// Several times the worst failover with default settings, less than people and clients wait.
pub(crate) const HOLD_TIMEOUT: &str = "10s";
/// Enough for a failover at 500 requests a second; more would arrive as one blow at the standby.
pub(crate) const HOLD_REQUESTS: &str = "1000";
/// As many bodies of the full replay buffer as may be held.
pub(crate) const HOLD_BYTES: &str = "64MiB";
/// Forms and API calls fit; uploads pass through.
pub(crate) const REPLAY_BUFFER: &str = "64KiB";
/// Once for a backend that dies, once more for a standby that dies too.
pub(crate) const REPLAY_ATTEMPTS: &str = "2";
/// A hung backend sometimes finishes what it has begun.
pub(crate) const SETTLE: &str = "5s";

// --- What a backend may take. ---

/// One lost SYN is repeated after 1 s, so this allows one loss.
pub(crate) const CONNECT: &str = "2s";
/// As nginx's `proxy_read_timeout`; probes, not this, find a hung backend.
pub(crate) const RESPONSE: &str = "60s";
/// As above, for bodies.
pub(crate) const BODY_IDLE: &str = "60s";
/// Covers bursts of a busy worker; unused ones go after `idle_timeout`.
pub(crate) const IDLE_CONNECTIONS: &str = "64";
/// Below the 5 s after which Node.js closes, the shortest common keep-alive.
pub(crate) const IDLE_CONNECTION_TIMEOUT: &str = "4s";
/// As long as people leave a quiet tab open; a side that is gone without a word is noticed by TCP
/// keepalive long before.
pub(crate) const STREAM_IDLE: &str = "1h";
/// Long downloads are not an error; `idle` finds those that stand still.
pub(crate) const REQUEST: &str = "off";
/// As many as most servers allow; beyond it one lost packet would delay too much.
pub(crate) const UPSTREAM_STREAMS: &str = "100";
/// Over TLS the backend says what it can, in the clear everybody speaks HTTP/1.1.
pub(crate) const PROTOCOL: &str = "auto";
/// Backends that do not expect it take it for a broken request.
pub(crate) const PROXY_PROTOCOL: &str = "off";

// --- Streams at the old active. ---

/// Streams get a chance to end by themselves, and none stays at the old active for ever.
pub(crate) const STREAM_POLICY: &str = "drain";
/// What the failed active still sends may well be worth having, but not for long.
pub(crate) const FAILOVER_DEADLINE: &str = "30s";
/// Nearly all at once: clients are better off at the new active.
pub(crate) const FAILOVER_WINDOW: &str = "5s";
/// Both are well; there is no hurry.
pub(crate) const FAILBACK_DEADLINE: &str = "5m";
/// Clients that come back a few at a time do not hurt.
pub(crate) const FAILBACK_WINDOW: &str = "30s";
