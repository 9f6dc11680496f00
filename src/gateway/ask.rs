//! What the pupil administration is asked: built anew, with the school's own autorisatie.

use super::fault::{Stop, fault};
use crate::{
    catalogue::{FieldId, NodeId, RecordId, catalogue},
    clock::{Clock, school_year},
    config::School,
    delivery::Delivery,
    encode::XmlEncoder,
    fault::FaultCode,
    ingress,
    pseudonym::TokenOpener,
    record::Record,
};

/// The SOAP header for a school's LAS, with the school's own autorisatie.
pub(super) fn authorisation_header(school: &School) -> Option<Record> {
    let catalogue = catalogue();
    let kind = catalogue.record_named("autorisatie");
    let header = catalogue.place_of_record(kind)?;
    let own = &school.las.as_ref()?.authorisation;
    let mut record = Record::new(kind, header);
    for (name, value) in [
        ("autorisatie.autorisatiesleutel", &own.sleutel),
        ("autorisatie.klantcode", &own.klantcode),
        ("autorisatie.klantnaam", &own.klantnaam),
    ] {
        let field = catalogue.field_named(name);
        record.push(catalogue.place_of(header, field)?, None, field, value);
    }
    Some(record)
}

/// A fresh request to the LAS: what was asked, in the standard's order, with group tokens turned back into keys.
pub(super) fn las_request(
    request: &ingress::Request,
    delivery: &Delivery,
    school: &School,
    clock: &dyn Clock,
) -> Result<String, Stop> {
    let internal = || fault(FaultCode::InterneFout, "Interne fout.");
    let catalogue = catalogue();
    let kind: RecordId = catalogue.record_named("verzoek");
    let root: NodeId = request.message;
    let mut body = Record::new(kind, root);
    let schooljaar = request.schooljaar.clone().unwrap_or_else(|| {
        let first = school_year(clock);
        format!("{first}-{}", first + 1)
    });
    let mut put = |name: &str, value: &str| -> Option<()> {
        let field: FieldId = catalogue.field_named(name);
        body.push(catalogue.place_of(root, field)?, None, field, value);
        Some(())
    };
    let mut all = put("verzoek.schooljaar", &schooljaar);
    if request.brin.is_some() {
        all = all.and(put("verzoek.brincode", &school.brin));
        all = all.and(put("verzoek.dependancecode", &request.dependance));
    } else if let Some(key) = &school.schoolkey {
        all = all.and(put("verzoek.schoolkey", key));
    }
    all = all.and(put("verzoek.xsdversie", &request.xsdversie));
    if let Some(set) = &request.gegevenssetid {
        all = all.and(put("verzoek.gegevenssetid", set));
    }
    if let Some(since) = &request.since {
        all = all.and(put("verzoek.laatstontvangengegevens", since));
    }
    all.ok_or_else(internal)?;
    if !request.groups.is_empty() {
        let opener = TokenOpener(delivery.pseudonyms());
        let field = catalogue.field_named("verzoek.groepen");
        let wrapper = catalogue.child_named(root, "groepen").ok_or_else(internal)?;
        body.open(wrapper);
        for group in &request.groups {
            let node = catalogue.child_named(wrapper, group.kind.label()).ok_or_else(internal)?;
            body.open(node);
            if let Some(token) = &group.token {
                let key = opener.open(group.kind, token).map_err(|_| {
                    fault(
                        FaultCode::OngeldigBericht,
                        "Een groep in het verzoek is niet bekend onder deze sleutel.",
                    )
                })?;
                body.push(node, Some(0), field, key.expose());
            }
            body.close();
        }
        body.close();
    }
    let header = authorisation_header(school).ok_or_else(internal)?;
    let mut message = String::new();
    XmlEncoder::message(Some(&header), &body, &mut message);
    Ok(message)
}
