//! Logboek Dataverwerkingen 1.0, as requests of OTLP in JSON: rendered when asked for, stored nowhere.
//!
//! | span | span id | parent | status |
//! |---|---|---|---|
//! | a delivery, of its outcome | the leaf's | the caller's | 1 when sent; 2 when unknown, as the process stopped; unset when broken off |
//! | a chunk of it | SHA-256(`ldv-chunk` ‖ trace ‖ delivery ‖ chunk) | the delivery | unset, or 2 as the leaf says |
//! | a person in it | SHA-256(`ldv` ‖ trace ‖ chunk's span id ‖ index) | the chunk | unset |
//! | a refusal | SHA-256(`ldv-refusal` ‖ trace ‖ zeros ‖ position) | the caller's | unset: a refusal is no fault |
//!
//! Of each hash the first eight bytes count; numbers are u32, little-endian, and an id is never zero. So an export that
//! is done again has the same ids. There is a line for each data subject, none is sampled away, and nothing is in it
//! that the standard has not adopted: no masks, and no integrity.

use std::io;

use ring::digest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answers, Extent};
use crate::disclosure::{Leaf, LeafKind, OutcomeStatus, Position, rowfile::Located};

/// Spans in a request at most.
const BATCH: usize = 1000;
/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u8 = 1;

/// Where the URIs of an export point.
pub struct Register {
    /// Before the id of a processing activity, in the register of Art. 30.
    activities: String,
    /// The type of handles.
    subjects: String,
}

impl Register {
    /// The register at this address; handles are a type of the authority's own.
    pub fn at(prefix: &str, authority: &str) -> Self {
        Self {
            activities: prefix.trim_end_matches('/').to_owned(),
            subjects: format!("https://{authority}/betrokkene"),
        }
    }

    fn attributes(&self, leaf: &Leaf, handle: Option<&[u8; 16]>) -> Value {
        let activity = Uuid::from_bytes(leaf.activity);
        let activity = format!("{}/{activity}/{}", self.activities, leaf.activity_version);
        let mut attributes = vec![attribute("dpl.core.processing_activity_id", &activity)];
        if let Some(handle) = handle {
            attributes.push(attribute("dpl.core.data_subject_id", &hex::encode(handle)));
            attributes.push(attribute("dpl.core.data_subject_id_type", &self.subjects));
        }
        attributes.into()
    }
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// An id that is the same whenever it is made.
fn span_id(label: &str, trace: &[u8; 16], span: &[u8; 8], number: u32) -> [u8; 8] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [label.as_bytes(), trace, span, &number.to_le_bytes()] {
        context.update(part);
    }
    let hash = context.finish();
    let id: [u8; 8] = *hash.as_ref().first_chunk().expect("SHA-256 gives 32 bytes");
    // Zeros stand for no span. That a hash begins so will not happen, and must not matter if it does.
    if id == [0; 8] { [0, 0, 0, 0, 0, 0, 0, 1] } else { id }
}

struct Span<'a> {
    leaf: &'a Leaf,
    id: [u8; 8],
    parent: [u8; 8],
    name: &'static str,
    status: u8,
    handle: Option<&'a [u8; 16]>,
}

impl Span<'_> {
    fn to_json(&self, register: &Register) -> Value {
        let nanoseconds = |ms: u64| (u128::from(ms) * 1_000_000).to_string();
        let mut span = json!({
            "traceId": hex::encode(self.leaf.trace_id),
            "spanId": hex::encode(self.id),
            "name": self.name,
            "kind": INTERNAL,
            "startTimeUnixNano": nanoseconds(self.leaf.start_ms),
            "endTimeUnixNano": nanoseconds(self.leaf.end_ms),
            "attributes": register.attributes(self.leaf, self.handle),
            "status": if self.status == 0 { json!({}) } else { json!({ "code": self.status }) },
        });
        if self.parent != [0; 8] {
            span["parentSpanId"] = hex::encode(self.parent).into();
        }
        span
    }
}

fn spans<'a>(position: Position, leaf: &'a Leaf, rows: &'a [Located]) -> Vec<Span<'a>> {
    let parent = leaf.parent_span_id;
    if let Some(outcome) = leaf.outcome() {
        let status = match outcome.status {
            OutcomeStatus::Failed => 0,
            OutcomeStatus::Sent => 1,
            OutcomeStatus::Unknown => 2,
        };
        let results = leaf.flags & Leaf::INBOUND != 0;
        let name = if results { "leerresultaten teruggebracht" } else { "leerlinggegevens verstrekt" };
        return vec![Span { leaf, id: leaf.span_id, parent, name, status, handle: None }];
    }
    if leaf.kind == LeafKind::Withheld {
        // The trace tells refusals apart; within one, so do the low bits of the position.
        let id = span_id("ldv-refusal", &leaf.trace_id, &[0; 8], position.0 as u32);
        return vec![Span { leaf, id, parent, name: "verstrekking geweigerd", status: 0, handle: None }];
    }
    let id = span_id("ldv-chunk", &leaf.trace_id, &leaf.span_id, leaf.chunk);
    let status = if leaf.status == 2 { 2 } else { 0 };
    let chunk =
        Span { leaf, id, parent: leaf.span_id, name: "deel van een verstrekking", status, handle: None };
    let row = |located: &'a Located| Span {
        leaf,
        id: span_id("ldv", &leaf.trace_id, &id, located.index),
        parent: id,
        name: "gegevens van een persoon behandeld",
        status: 0,
        handle: Some(&located.row.handle),
    };
    std::iter::once(chunk).chain(rows.iter().map(row)).collect()
}

impl Answers<'_> {
    /// Renders an extent as requests of at most a thousand spans, and hands them over one by one, each with its number
    /// of spans.
    ///
    /// # Errors
    ///
    /// When the log cannot be read, or a request is not taken.
    pub fn export_ldv(
        &self,
        extent: &Extent<'_>,
        register: &Register,
        take: &mut dyn FnMut(String, usize) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut batch: Vec<Value> = Vec::new();
        let mut send = |batch: &mut Vec<Value>| match std::mem::take(batch) {
            spans if spans.is_empty() => Ok(()),
            spans => {
                let count = spans.len();
                take(request(spans), count)
            }
        };
        self.exported(extent, &mut |position, leaf, rows| {
            let spans = spans(position, leaf, rows);
            if batch.len() + spans.len() > BATCH {
                send(&mut batch)?;
            }
            batch.extend(spans.iter().map(|span| span.to_json(register)));
            Ok(())
        })?;
        send(&mut batch)
    }
}

/// An `ExportTraceServiceRequest`.
fn request(spans: Vec<Value>) -> String {
    json!({
        "resourceSpans": [{
            "resource": { "attributes": [attribute("service.name", "sluis")] },
            "scopeSpans": [{
                "scope": { "name": "sluis", "version": env!("CARGO_PKG_VERSION") },
                "spans": spans,
            }],
        }],
    })
    .to_string()
}
