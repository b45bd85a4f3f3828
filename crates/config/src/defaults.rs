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

// --- Logs. ---

/// Every program that reads logs reads it, and it says everything.
pub(crate) const LOG_FORMAT: &str = "json";
/// Whoever wants a log wants to find a request in it.
pub(crate) const LOG_SAMPLE: &str = "1.0";
/// A request without its query is often another one; who has secrets there says so.
pub(crate) const LOG_QUERY: &str = "keep";
/// Most systems have a logrotate, and two that rename one file lose lines.
pub(crate) const LOG_ROTATE: &str = "off";
/// A few hundred thousand requests: large enough to rename seldom, small enough to open.
pub(crate) const LOG_ROTATE_SIZE: &str = "100MiB";
/// Less than a gigabyte in all.
pub(crate) const LOG_ROTATE_KEEP: &str = "7";
/// Who has a log wants it of everything.
pub(crate) const SERVICE_LOG: &str = "true";

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
/// Beyond what this backend takes for nearly all of its answers; a false alarm costs three probes and
/// nothing else.
pub(crate) const STALL_AFTER: &str = "500ms";
/// A GET needs none.
pub(crate) const PROBE_BODY: &str = "\"\"";
/// Any page that says how a server is fits; what is longer is a download.
pub(crate) const PROBE_BODY_BYTES: &str = "64KiB";
/// Where a redirect leads is not what was to be probed.
pub(crate) const REDIRECTS: &str = "0";
/// Most servers do not know roles.
pub(crate) const ROLE: &str = "off";
/// The word itself; who calls it otherwise says so.
pub(crate) const ROLE_ACTIVE: &str = "[active]";
/// As above.
pub(crate) const ROLE_STANDBY: &str = "[standby]";
/// As above.
pub(crate) const ROLE_PROMOTING: &str = "[promoting]";
/// As above.
pub(crate) const ROLE_FENCED: &str = "[fenced]";
/// A name of its own: nobody sends it by accident.
pub(crate) const DRAIN_HEADER: &str = "Understudy-Drain";
/// A status means what the backend means by it.
pub(crate) const DRAIN_STATUS: &str = "[]";
/// An accepted connection is enough.
pub(crate) const TCP_SEND: &str = "\"\"";
/// The server as a whole (gRPC health checking protocol).
pub(crate) const GRPC_SERVICE: &str = "\"\"";
/// As HAProxy's `agent-send`: most agents speak first.
pub(crate) const AGENT_SEND: &str = "\"\"";
/// Always there, and nobody's.
pub(crate) const EXEC_DIRECTORY: &str = "/";
/// A message for people; what is longer is a log.
pub(crate) const EXEC_OUTPUT: &str = "4KiB";
/// A program that hangs does not keep the next from being started; more would only pile up.
pub(crate) const EXEC_AT_A_TIME: &str = "2";
/// What every program means by it.
pub(crate) const EXIT_PASS: &str = "[0]";
/// Programs agree on nothing else.
pub(crate) const EXIT_DRAIN: &str = "[]";
/// As above.
pub(crate) const EXIT_INCONCLUSIVE: &str = "[]";
/// A probe that fails keeps requests away; only who knows that nothing answers any more says `alive`.
pub(crate) const LEVEL: &str = "ready";
/// Who adds a probe wants it to pass.
pub(crate) const QUORUM: &str = "off";
/// What proxies and servers in trouble answer; 501 and 505 say that the request was at fault.
pub(crate) const ERROR_STATUS: &str = "[500, 502, 503, 504]";
/// One page that is broken for everybody does not reach it at usual loads; all pages do at once.
pub(crate) const ERROR_COUNT: &str = "10";
/// Short: what is spread over longer is not an outage that began now.
pub(crate) const ERROR_WITHIN: &str = "1s";

// --- What is run or asked beside the traffic. ---

/// What changes something is a POST.
pub(crate) const ACTION_METHOD: &str = "POST";
/// Many requests say it all by their path.
pub(crate) const ACTION_BODY: &str = "\"\"";
/// Redirects are not followed, so anything else has not done it.
pub(crate) const ACTION_STATUS: &str = "200-299";
/// What it did is worth keeping with the incident; what is longer is a log.
pub(crate) const ACTION_OUTPUT: &str = "16KiB";
/// Whether to do something twice is for its author to say.
pub(crate) const ACTION_RETRIES: &str = "0";
/// Clients wait meanwhile; what takes longer must be meant to.
pub(crate) const GATE_DEADLINE: &str = "10s";
/// Long enough for a port that is about to open, short for clients that wait.
pub(crate) const GATE_BACK_OFF: &str = "500ms";
/// A step that may fail is hardly worth its time.
pub(crate) const GATE_NEED: &str = "required";
/// Nobody knows better than a person what to do about half a move.
pub(crate) const GATE_ON_FAILURE: &str = "abort";
/// Copies take their time; one that hangs must not keep moves waiting for ever.
pub(crate) const JOB_DEADLINE: &str = "5m";
/// Nobody waits for it.
pub(crate) const JOB_BACK_OFF: &str = "1s";
/// Jobs begin when they should unless the operator wants them apart.
pub(crate) const JOB_JITTER: &str = "0s";
/// Most jobs bring something from the active to its standbys.
pub(crate) const JOB_TO: &str = "standbys";
/// What was missed is what a standby lacks.
pub(crate) const JOB_CATCH_UP: &str = "true";
/// A planned move has time; a copy cut in the middle is worth less than half a minute.
pub(crate) const JOB_MOVE_WAITS: &str = "30s";
/// To run something twice does harm unless somebody knows that it does not.
pub(crate) const IDEMPOTENT: &str = "false";
/// Old data is better than none, and somebody is told.
pub(crate) const MAX_AGE_BLOCKS: &str = "false";
/// Services that receive them answer within a second or two, or not at all.
pub(crate) const NOTIFY_DEADLINE: &str = "10s";
/// A night and a morning; what is older is history.
pub(crate) const NOTIFY_GIVE_UP: &str = "24h";
/// What mail servers offer today, and no password in the clear.
pub(crate) const MAIL_TLS: &str = "wrapped";

// --- Traces. ---

/// One of a hundred shows what is usual; what is rare is in the access log and in incidents.
pub(crate) const TRACE_SAMPLE: &str = "0.01";
/// Strangers could have every request of theirs followed, at the collector's cost.
pub(crate) const TRACE_PARENT: &str = "ignore";
/// Our name.
pub(crate) const TRACE_SERVICE: &str = "understudy";
/// Any collector takes it, through any proxy.
pub(crate) const OTLP_PROTOCOL: &str = "http";
/// As the exporters of OpenTelemetry.
pub(crate) const OTLP_TIMEOUT: &str = "10s";

// --- Ready for a failover. ---

/// A week: time to renew it by day.
pub(crate) const READY_CERTIFICATE: &str = "168h";
/// Tokens, cookies and databases begin to mind; `Date` itself is a second coarse.
pub(crate) const READY_CLOCK_SKEW: &str = "5s";
/// How often to drill is for people to say.
pub(crate) const READY_LAST_DRILL: &str = "off";
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
