"""Tests of foreign suites that are not counted, each with its reason; a name may be a pattern."""

from __future__ import annotations

EXCEPTIONS: dict[str, dict[str, str]] = {
    "kafka-python": {
        "test_sasl_integration.py::*": "asks for SASL, which chronik does not have; skips itself",
        "test_ssl_integration.py::*": "starts a broker of its own in a JVM to try TLS; left out",
        "*::test_kafka_consumer_offsets_for_time_old": "is for brokers before 0.10; skips itself",
    },
    "rskafka": {
        "test_sasl": "asks for SASL; skips itself",
        "test_tls": "asks for TLS; left out by the crate itself",
        "test_socks5": "asks for a SOCKS5 proxy; skips itself",
        "*java*": "talks to a Java client inside the test; skips itself",
    },
    "rdkafka": {
        "*_nonempty_callback": "races with an operation inside librdkafka; now and then fails without any broker",
    },
}
