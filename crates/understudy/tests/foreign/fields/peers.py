"""Rows in which a peer is known to differ, and why: most often it is lenient where the table is not."""

DIFFER = {
    "haproxy": {
        "an empty host": "authority-empty-host.h2-h1 authority-empty-host.h2-h2",
        "as it is set up here": """
            forged-x-forwarded-server-7.h1-h1 forged-x-forwarded-server-7.h2-h1 proxied-stranger
            proxied-stranger-plain proxied-stranger-v2 similar-names.h1-h1 trusted-appends
            trusted-forwarded-malformed
        """,
        "cuts it": "connect-200",
        "does not check Host": "host-none host-slash",
        "does not check it": """
            host-8bit host-bracket host-hash host-list host-port host-question host-scheme host-space host-two-alike
            host-two-ports host-user
        """,
        "does not compare": "upgrade-other",
        "drops such trailers": "answer2-trailer-pseudo.h2-h2",
        "drops the line, or passes it on": """
            field-folded field-folded-empty field-folded-tab field-value-control field-value-del field-value-esc
            field-value-vt
        """,
        "drops trailers after it has ended the request": "trailer-pseudo.h2-h2",
        "ends a stream that its backend reset": """
            answer2-reset-cancel.h2-h2 answer2-reset-length.h2-h2 answer2-reset-no-error.h2-h2 answer2-reset.h2-h2
        """,
        "ends a stream whose backend broke off": """
            answer-cut-at-once.h2-h1 answer-cut-in-chunk.h2-h1 answer-cut-in-size.h2-h1 answer-cut-in-trailers.h2-h1
            answer-cut-length.h2-h1 answer-cut-no-last-chunk.h2-h1
        """,
        "ends the body early when an HTTP/2 backend says 100": "expect-at-once.h1-h2",
        "forgets the length of a request without DATA (mended in later versions)": """
            h2-length-get.h1 h2-length-get.h2 h2-length-none.h1 h2-length-none.h2
        """,
        "ignores :protocol": "connect-extended-get",
        "ignores Max-Forwards": """
            max-forwards-0.h1-h1 max-forwards-0.h2-h1 max-forwards-5.h1-h1 max-forwards-5.h2-h1
        """,
        "knows no gRPC": "trailer-grpc-failed.h2-h1 trailer-grpc-failed.h2-h2",
        "lenient": """
            answer-field-control.h1-h1 answer-field-control.h2-h1 answer-field-del.h1-h1 answer-field-del.h2-h1
            answer-field-nul.h1-h1 answer-field-nul.h2-h1 chunk-trailer-folded chunk-trailer-nul
            form-absolute-no-host h2-pseudo-authority-port.h1 h2-pseudo-authority-port.h2
            h2-pseudo-authority-query.h1 h2-pseudo-authority-query.h2 h2-pseudo-authority-slash.h1
            h2-pseudo-authority-slash.h2 h2-pseudo-authority-user.h1 h2-pseudo-authority-user.h2
            h2-pseudo-host-bad.h1 h2-pseudo-host-bad.h2 h2-pseudo-host-beside-twice.h1
            h2-pseudo-host-beside-twice.h2 h2-pseudo-hosts-two.h1 h2-pseudo-hosts-two.h2 h2-pseudo-nobody.h1
            h2-pseudo-nobody.h2 h2-pseudo-path-star.h1 h2-pseudo-path-star.h2 h2-value-control.h1
            h2-value-control.h2 h2-value-del.h1 h2-value-del.h2 h2-value-esc.h1 h2-value-esc.h2
            h2-value-space-first.h2 h2-value-space-last.h2 h2-value-tab-first.h1 h2-value-tab-first.h2
            proxied-bad-v1-port trailer-upper.h2-h2
        """,
        "lenient towards lists": "coding-empty-first coding-folded coding-gzip-first coding-unknown-then",
        "lenient, or closes": """
            answer-head-half.h2-h1 answer-head-nothing.h2-h1 answer-head-status-000.h1-h1
            answer-head-status-000.h2-h1 answer-head-status-long.h1-h1 answer-head-status-long.h2-h1
            answer-head-status-short.h1-h1 answer-head-status-short.h2-h1 answer-head-version-2.h1-h1
            answer-head-version-2.h2-h1
        """,
        "no limit": "chunk-extensions-endless",
        "not in 2.6": "trailer-crlf.h2-h2",
        "passes HTTP2-Settings on": "hop-h2c.h1-h1 hop-h2c.h1-h2",
        "passes it on": """
            connect-extended-unknown field-value-nul hop-h2-http2-settings.h2-h1 hop-h2c-settings.h1-h1
            hop-h2c-settings.h1-h2 hop-keep-alive.h1-h1 hop-proxy-connection.h1-h1 hop-upgrade-unnamed.h1-h1
            upgrade-http10
        """,
        "passes on the names in Connection, and h2c in a list": """
            both-cl-te-named.h1 both-te-named certificate-given-named forged-named.h1-h1
            hop-keeps-authorization.h1-h1 hop-keeps-content-type.h1-h1 hop-keeps-cookie.h1-h1 hop-keeps-forwarded
            hop-keeps-host.h1-h1 hop-keeps-length hop-keeps-x-forwarded-for.h1-h1 hop-keeps-x-forwarded-host.h1-h1
            hop-keeps-x-forwarded-proto.h1-h1 hop-malformed.h1-h1 upgrade-h2c-list
        """,
        "passes on what Connection names": """
            answer-hop-named.h1-h1 answer-hop-named.h2-h1 hop-named-case.h1-h1 hop-named-case.h1-h2 hop-named.h1-h1
            hop-named.h1-h2
        """,
        "passes the length on": "answer-204-length.h2-h1",
        "reads addresses leniently": "proxied-bad-v1-address",
        "reads them, and closes": "coding-http10",
        "relays a wrong length, or ends the stream": """
            answer2-length-less.h2-h2 answer2-length-more.h2-h2 answer2-length-none.h2-h2
        """,
        "relays any trailer": """
            trailer-answer-forbidden.h1-h1 trailer-answer-forbidden.h2-h1 trailer-forbidden-authorization.h1-h1
            trailer-forbidden-client-cert.h1-h1 trailer-forbidden-connection.h1-h1
            trailer-forbidden-content-length.h1-h1 trailer-forbidden-content-type.h1-h1
            trailer-forbidden-cookie.h1-h1 trailer-forbidden-expect.h1-h1 trailer-forbidden-forwarded.h1-h1
            trailer-forbidden-host.h1-h1 trailer-forbidden-te.h1-h1 trailer-forbidden-transfer-encoding.h1-h1
            trailer-forbidden-x-forwarded-for.h1-h1 trailer-forbidden-x-forwarded-for.h1-h2
            trailer-forbidden-x-forwarded-for.h2-h1 trailer-forbidden-x_forwarded_for.h1-h1
        """,
        "relays such trailers, or cuts them off, as it comes": "chunk-trailer-space",
        "sends absolute targets on": """
            forged-host.h1-h1 form-absolute-no-path form-absolute-port form-absolute-scheme form-absolute.h1-h1
            form-absolute.h1-h2
        """,
        "sends chunks to HTTP/1.0": "answer-chunks-http10 answer2-http10",
        "sends no scheme": "scheme-up.h1-h2",
        "sends none": "host-http10",
        "sends the target on as it came": "form-absolute-empty-host form-star-get",
        "sends them": "interim-http10",
        "takes a bare LF in chunks": """
            answer-chunk-lf.h1-h1 answer-chunk-lf.h2-h1 chunk-lf chunk-lf-after-data chunk-lf-in-extension
            chunk-lf-last chunk-too-little-data
        """,
        "takes any digits": "version-2.0 version-3.0",
        "unfolds": "length-folded",
        "wants the header in one segment, in its own forms": """
            proxied-v1-tcp4-pieces proxied-v1-tcp6-pieces proxied-v1-unknown-pieces proxied-v1-unknown-rest
            proxied-v1-unknown-rest-pieces proxied-v2-inet-pieces proxied-v2-inet6-pieces
            proxied-v2-local-addresses-pieces proxied-v2-local-pieces proxied-v2-tlvs-pieces
        """,
    },
    "nginx": {
        "$host has no port": """
            form-absolute-port host-ipv6 host-is-authority.h1-h1 host-is-authority.h2-h1 host-with-port
        """,
        "an empty one": "host-http10",
        "as it is set up here": "forged-x-forwarded-server-7.h1-h1 forged-x-forwarded-server-7.h2-h1",
        "buffers, and sends a length": "body-chunks.h1-h1",
        "discards them without a limit": "chunk-trailers-endless",
        "does not check": """
            hop-h2-connection-close.h2-h1 hop-h2-connection-x-forwarded-for.h2-h1 hop-h2-keep-alive-timeout.h2-h1
            hop-h2-proxy-connection-close.h2-h1 hop-h2-te-gzip.h2-h1 hop-h2-transfer-encoding-chunked.h2-h1
            hop-h2-upgrade-websocket.h2-h1
        """,
        "does not check it": "host-8bit host-bracket host-hash host-port host-question host-two-ports host-user",
        "does not compare": "upgrade-other",
        "drops it": "te-up-h2.h2-h1 te-up.h1-h1",
        "drops such names": "kept-symbols-in-name.h1-h1 kept-symbols-in-name.h2-h1",
        "drops the line, or passes it on": """
            field-name-8bit field-name-at field-name-bracket field-name-paren field-name-quote field-name-slash
            field-no-colon field-value-control field-value-cr-end field-value-del field-value-esc field-value-vt
        """,
        "drops trailers": """
            trailer-answer-unannounced.h2-h1 trailer-answer.h1-h1 trailer-answer.h2-h1 trailer-request-alone.h1-h1
            trailer-request-alone.h2-h1 trailer-request-unannounced.h1-h1 trailer-request.h1-h1
            trailer-request.h2-h1
        """,
        "ignores Max-Forwards": """
            max-forwards-0.h1-h1 max-forwards-0.h2-h1 max-forwards-5.h1-h1 max-forwards-5.h2-h1
        """,
        "keeps the fragment": "path-fragment.h1-h1 path-fragment.h2-h1",
        "knows no extended CONNECT": "connect-extended connect-refused",
        "knows no gRPC": "trailer-grpc-failed.h2-h1",
        "lenient": """
            answer-bad-length.h1-h1 answer-bad-length.h2-h1 answer-chunk-lf.h1-h1 answer-chunk-lf.h2-h1
            answer-chunked-not-last.h2-h1 answer-chunked-twice.h2-h1 answer-coding-vt.h2-h1
            answer-empty-length.h1-h1 answer-empty-length.h2-h1 answer-field-control.h1-h1
            answer-field-control.h2-h1 answer-field-del.h1-h1 answer-field-del.h2-h1 answer-field-name-8bit.h1-h1
            answer-field-name-8bit.h2-h1 answer-field-no-colon.h1-h1 answer-field-no-colon.h2-h1
            answer-gzip-coding.h1-h1 answer-gzip-coding.h2-h1 answer-huge-length.h1-h1 answer-huge-length.h2-h1
            answer-list-length.h1-h1 answer-list-length.h2-h1 answer-negative-length.h1-h1
            answer-negative-length.h2-h1 answer-plus-length.h1-h1 answer-plus-length.h2-h1 answer-two-lengths.h1-h1
            answer-two-lengths.h2-h1 chunk-lf chunk-lf-after-data chunk-lf-in-extension chunk-lf-last
            chunk-trailer-folded chunk-trailer-no-colon chunk-trailer-nul chunk-trailer-space h2-length-coding.h1
            h2-length-smuggle.h1 h2-name-8bit.h1 h2-name-paren.h1 h2-pseudo-authority-port.h1
            h2-pseudo-authority-query.h1 h2-pseudo-authority-user.h1 h2-pseudo-late.h1 h2-value-control.h1
            h2-value-del.h1 h2-value-esc.h1 h2-value-tab-first.h1 version-0.9 version-ten
        """,
        "lenient, or closes": """
            answer-head-icy.h1-h1 answer-head-icy.h2-h1 answer-head-noise.h1-h1 answer-head-noise.h2-h1
            answer-head-shifted.h1-h1 answer-head-shifted.h2-h1 answer-head-status-000.h1-h1
            answer-head-status-000.h2-h1 answer-head-status-letters.h1-h1 answer-head-status-letters.h2-h1
            answer-head-status-long.h1-h1 answer-head-status-long.h2-h1 answer-head-status-short.h1-h1
            answer-head-status-short.h2-h1 answer-head-version-2.h1-h1 answer-head-version-2.h2-h1
            answer-head-version-lower.h1-h1 answer-head-version-lower.h2-h1 answer-head-version-none.h1-h1
            answer-head-version-none.h2-h1
        """,
        "no limit": "chunk-extension-long chunk-extensions-endless",
        "passes HTTP2-Settings on": "hop-h2c.h1-h1",
        "passes Upgrade on": "answer-hop-upgrade.h2-h1",
        "passes it on": """
            hop-h2-http2-settings.h2-h1 hop-h2c-settings.h1-h1 hop-proxy-connection.h1-h1 interim-101.h1-h1
            interim-101.h2-h1 upgrade-unnamed-101
        """,
        "passes on what Connection names": """
            answer-hop-named.h1-h1 answer-hop-named.h2-h1 hop-named-case.h1-h1 hop-named.h1-h1
        """,
        "passes the length on": "answer-204-length.h1-h1",
        "replaces them": "answer-server-date.h1-h1 answer-server-date.h2-h1",
        "sends no Host then": "host-beside.h2-h1",
        "set up by Upgrade alone": "hop-upgrade-unnamed.h1-h1 upgrade-http10",
        "takes a 103 for the final answer": """
            interim-103.h1-h1 interim-103.h2-h1 interim-104.h1-h1 interim-104.h2-h1 interim-199.h1-h1
            interim-199.h2-h1 interim-cut.h1-h1 interim-cut.h2-h1 interim-endless.h1-h1 interim-http10
            interim-length.h1-h1 interim-length.h2-h1
        """,
        "takes a bare LF in chunks": "chunk-too-little-data",
        "takes an interim answer for the final one": "interim-100.h1-h1 interim-100.h2-h1",
        "takes it for HTTP/0.9": "path-has-lf.h1-h1",
        "trims no tabs": "kept-space-around",
    },
    "nghttpx": {
        "believes :scheme": "scheme-https.h2-h1 scheme-https.h2-h2 scheme-other.h2-h1 scheme-other.h2-h2",
        "cuts it": "connect-200",
        "does not check it": """
            host-8bit host-bracket host-hash host-list host-port host-question host-scheme host-space host-two-alike
            host-two-ports host-user
        """,
        "does not compare": "upgrade-other",
        "drops Upgrade": "upgrade-426",
        "has no words for it": """
            forged-X-FORWARDED-FOR-18.h1-h1 forged-client-cert-9.h1-h1 forged-client-cert-9.h1-h2
            forged-client-cert-9.h2-h1 forged-client-cert-9.h2-h2 forged-client-cert-chain-9.h1-h1
            forged-client-cert-chain-9.h2-h1 forged-forwarded-21.h1-h1 forged-forwarded-21.h1-h2
            forged-forwarded-21.h2-h1 forged-forwarded-21.h2-h2 forged-forwarded-44.h1-h1 forged-forwarded-44.h1-h2
            forged-forwarded-44.h2-h1 forged-forwarded-44.h2-h2 forged-proxy-14.h1-h1 forged-proxy-14.h2-h1
            forged-x-client-cert-fingerprint-7.h1-h1 forged-x-client-cert-fingerprint-7.h2-h1
            forged-x-client-cert-subject-10.h1-h1 forged-x-client-cert-subject-10.h2-h1
            forged-x-forwarded-for-7.h1-h1 forged-x-forwarded-for-7.h1-h2 forged-x-forwarded-for-7.h2-h1
            forged-x-forwarded-for-7.h2-h2 forged-x-forwarded-host-7.h1-h1 forged-x-forwarded-host-7.h2-h1
            forged-x-forwarded-port-7.h1-h1 forged-x-forwarded-port-7.h2-h1 forged-x-forwarded-prefix-8.h1-h1
            forged-x-forwarded-prefix-8.h2-h1 forged-x-forwarded-proto-13.h1-h1 forged-x-forwarded-proto-13.h2-h1
            forged-x-real-ip-7.h1-h1 forged-x-real-ip-7.h2-h1
        """,
        "ignores Max-Forwards": """
            max-forwards-0.h1-h1 max-forwards-0.h2-h1 max-forwards-5.h1-h1 max-forwards-5.h2-h1
        """,
        "knows no gRPC": "trailer-grpc-failed.h2-h1 trailer-grpc-failed.h2-h2",
        "lenient": """
            answer-chunked-not-last.h1-h1 answer-chunked-not-last.h2-h1 answer-field-name-space.h1-h1
            answer-field-name-space.h2-h1 answer-gzip-coding.h1-h1 answer-gzip-coding.h2-h1 chunk-trailer-folded
            coding-empty coding-empty-first coding-folded coding-gzip-first coding-unknown-then form-absolute-scheme
            form-absolute-user form-star-get h2-pseudo-authority-port.h1 h2-pseudo-authority-port.h2
            h2-pseudo-authority-user.h1 h2-pseudo-authority-user.h2 host-slash host-two
        """,
        "lenient in trailers": "chunk-cr-end chunk-trailer-space",
        "lenient, or closes": "answer-head-status-000.h1-h1 answer-head-status-000.h2-h1",
        "no limit": "chunk-extension-long chunk-extensions-endless",
        "normalises paths": """
            path-dots.h1-h1 path-dots.h1-h2 path-dots.h2-h1 path-double.h1-h1 path-double.h2-h1
            path-empty-query.h1-h1 path-empty-query.h2-h1 path-encoded-dots.h1-h1 path-encoded-dots.h2-h1
            path-two-slashes.h1-h1 path-two-slashes.h2-h1
        """,
        "passes TRACE": "method-trace.h1-h1 method-trace.h2-h1",
        "passes it on": """
            answer-field-space-colon.h1-h1 answer-field-space-colon.h2-h1 hop-h2c.h1-h1 hop-h2c.h1-h2
            hop-keeps-forwarded hop-keeps-x-forwarded-host.h1-h1 hop-te-other.h1-h1 hop-upgrade-unnamed.h1-h1
            hop-upgrade-unnamed.h1-h2 interim-101-h2.h1-h2 interim-101-h2.h2-h2 interim-101.h1-h1
            upgrade-unnamed-101
        """,
        "passes on TE": "hop-te.h1-h1",
        "passes on a list with h2c": "upgrade-h2c-list",
        "passes on what Connection names": """
            answer-hop-named.h1-h1 answer-hop-named.h2-h1 hop-named-case.h1-h1 hop-named-case.h1-h2 hop-named.h1-h1
            hop-named.h1-h2
        """,
        "reads them": "coding-http10",
        "relays any trailer": """
            trailer-answer-forbidden.h1-h1 trailer-answer-forbidden.h2-h1 trailer-answer-forbidden.h2-h2
            trailer-forbidden-authorization.h1-h1 trailer-forbidden-client-cert.h1-h1
            trailer-forbidden-content-length.h1-h1 trailer-forbidden-content-length.h1-h2
            trailer-forbidden-content-type.h1-h1 trailer-forbidden-expect.h1-h1 trailer-forbidden-te.h1-h1
            trailer-forbidden-x_forwarded_for.h1-h1
        """,
        "sends absolute targets on": "forged-host.h1-h1",
        "sends no X-Forwarded-Host": """
            forged-Client_Cert-9.h1-h1 forged-X-Client_Cert-Fingerprint-7.h1-h1 forged-X-Forwarded_For-7.h1-h1
            forged-named.h1-h1 forged-twice.h1-h1 forged-twice.h2-h2 forged-x-forwarded-server-7.h1-h1
            forged-x-forwarded-server-7.h2-h1 forged-x_client_cert_subject-10.h1-h1
            forged-x_client_cert_subject-10.h2-h1 forged-x_forwarded_for-7.h1-h1 forged-x_forwarded_for-7.h1-h2
            forged-x_forwarded_for-7.h2-h1 forged-x_forwarded_for-7.h2-h2 forged-x_forwarded_proto-5.h1-h1
            forged-x_forwarded_proto-5.h2-h1 forged-x_real_ip-7.h1-h1 forged-x_real_ip-7.h2-h1 who-plain.h1-h1
            who-plain.h1-h2 who-plain.h2-h1 who-plain.h2-h2
        """,
        "tunnels": "connect-plain method-connect.h1-h1 method-connect.h1-h2",
        "unfolds": "length-folded",
        "unfolds, or drops the line": """
            field-empty-name field-folded field-folded-empty field-folded-tab field-name-space
            field-space-before-colon
        """,
    },
    "understudy": {
        "drops what the h2 library drops in silence; nothing of it gets through": """
            answer2-pseudo.h1-h2 answer2-pseudo.h2-h2 answer2-trailer-pseudo.h1-h2 answer2-trailer-pseudo.h2-h2
        """,
    },
}


def differs(peer, id):
    """Whether this peer is known to do otherwise than a row says."""
    return any(id in ids.split() for ids in DIFFER.get(peer, {}).values())
