//! `llada serve` and a collector of OpenTelemetry.

use nix::sys::signal::Signal;

use crate::serve::Server;

#[test]
#[cfg(not(feature = "otlp"))]
fn a_collector_is_not_passed_over_in_silence() {
    let server = Server::start(&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]);
    assert!(server.before.contains("exports no traces\nhint: cargo build"), "{}", server.before);
    server.end(Signal::SIGTERM);
}

#[cfg(feature = "otlp")]
mod otlp {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::{TcpListener, TcpStream},
        thread,
    };

    use super::{Server, Signal};

    /// Names of fields of OpenTelemetry's protocol, by their numbers in `trace.proto`, `resource.proto` and `common.proto`.
    mod field {
        pub(super) const RESOURCE_SPANS: u64 = 1;
        pub(super) const RESOURCE: u64 = 1;
        pub(super) const SCOPE_SPANS: u64 = 2;
        pub(super) const SPANS: u64 = 2;
        pub(super) const TRACE_ID: u64 = 1;
        pub(super) const SPAN_ID: u64 = 2;
        pub(super) const PARENT_SPAN_ID: u64 = 4;
        pub(super) const NAME: u64 = 5;
        pub(super) const KIND: u64 = 6;
    }

    /// The number of the kind *server*.
    const SERVER: u64 = 2;

    /// A message of protobuf: its fields in their order, numbers and bytes.
    struct Message(Vec<(u64, u64, Vec<u8>)>);

    impl Message {
        fn read(mut bytes: &[u8]) -> Self {
            let mut fields = Vec::new();
            while !bytes.is_empty() {
                let key = varint(&mut bytes);
                let (number, length) = match key & 7 {
                    0 => (varint(&mut bytes), 0),
                    1 => (0, 8),
                    2 => (0, varint(&mut bytes) as usize),
                    5 => (0, 4),
                    kind => panic!("a field of kind {kind}"),
                };
                let (value, rest) = bytes.split_at(length);
                fields.push((key >> 3, number, value.to_vec()));
                bytes = rest;
            }
            Self(fields)
        }

        fn number(&self, field: u64) -> u64 {
            self.0.iter().find(|found| found.0 == field).map_or(0, |found| found.1)
        }

        fn all(&self, field: u64) -> impl Iterator<Item = &[u8]> {
            self.0.iter().filter(move |found| found.0 == field).map(|found| found.2.as_slice())
        }

        fn bytes(&self, field: u64) -> &[u8] {
            self.all(field).next().unwrap_or_default()
        }

        fn messages(&self, field: u64) -> impl Iterator<Item = Message> {
            self.all(field).map(Message::read)
        }
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            number |= u64::from(byte & 127) << shift;
            if byte & 128 == 0 {
                break;
            }
        }
        number
    }

    fn contains(bytes: &[u8], text: &str) -> bool {
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Answers a request, and returns its path and its body.
    fn collect(stream: TcpStream) -> (String, Vec<u8>) {
        let mut reader = BufReader::new(&stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            head += &line;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        assert!(head.contains("application/x-protobuf"), "{head}");
        (head.split(' ').nth(1).unwrap().to_owned(), body)
    }

    #[test]
    fn a_request_is_a_span_of_its_callers_trace_with_its_jobs_below() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        const CALLER: &str = "00f067aa0ba902b7";
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let collector = format!("http://{}", listener.local_addr().unwrap());
        let collected = thread::spawn(move || collect(listener.accept().unwrap().0));
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.as_str()),
            ("OTEL_SERVICE_NAME", "tiny-server"),
            // So that all spans are sent at once, when the server ends.
            ("OTEL_BSP_SCHEDULE_DELAY", "600000"),
        ];
        let server = Server::start(&["--log-format", "none"], &environment);
        assert_eq!(server.before, "");
        let headers = format!("traceparent: 00-{TRACE}-{CALLER}-01\r\ncontent-type: application/json\r\n");
        let answer = server.ask("/v1/completions", &headers, Some(r#"{"prompt": "a", "max_tokens": 4}"#));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        server.end(Signal::SIGTERM);

        let (path, body) = collected.join().unwrap();
        assert_eq!(path, "/v1/traces");
        let [of_resource]: [Message; 1] =
            Message::read(&body).messages(field::RESOURCE_SPANS).collect::<Vec<_>>().try_into().ok().unwrap();
        assert!(contains(of_resource.bytes(field::RESOURCE), "tiny-server"));
        let spans: Vec<Message> = of_resource
            .messages(field::SCOPE_SPANS)
            .flat_map(|scope| scope.messages(field::SPANS).collect::<Vec<_>>())
            .collect();
        let named = |name: &str| spans.iter().find(|span| span.bytes(field::NAME) == name.as_bytes()).unwrap();
        let (request, job) = (named("POST /v1/completions"), named("job"));
        assert_eq!(spans.len(), 2);
        assert_eq!([request, job].map(|span| hex(span.bytes(field::TRACE_ID))), [TRACE; 2]);
        assert_eq!(hex(request.bytes(field::PARENT_SPAN_ID)), CALLER);
        assert_eq!(job.bytes(field::PARENT_SPAN_ID), request.bytes(field::SPAN_ID));
        assert_eq!(request.number(field::KIND), SERVER);
    }
}
