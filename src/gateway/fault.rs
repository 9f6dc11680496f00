//! What ends a request without an answer: a UWLR fault with words of ours, or a problem document.

use hyper::StatusCode;

use crate::{
    bridge::UNWANTED, decode, exchange::Error, fault::FaultCode, las::LasError, metrics::Metrics,
    minimise::Refusal, policy::rules::Reason,
};

/// A fault in the making: its code, and a text that is ours and says nothing of anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: FaultCode,
    pub(super) text: &'static str,
    /// Which of the five rules it breaks, and why.
    pub(super) because: Option<Reason>,
}

/// What ends a request without an answer of the LAS.
pub(super) enum Stop {
    Fault(Fault),
    Problem(StatusCode, &'static str),
}

pub(super) fn fault(code: FaultCode, text: &'static str) -> Stop {
    Stop::Fault(Fault { code, text, because: None })
}

/// What one of the five rules has ended.
pub(super) fn refused(reason: Reason) -> Stop {
    Stop::Fault(Fault { code: FaultCode::AutorisatieOngeldig, text: REFUSED, because: Some(reason) })
}

pub(super) const UNAVAILABLE: &str =
    "De gegevens zijn tijdelijk niet beschikbaar. Probeer het later opnieuw.";
pub(super) const REFUSED: &str = "Geen toestemming voor deze uitwisseling.";

pub(super) fn internal() -> Stop {
    fault(FaultCode::InterneFout, "Interne fout.")
}

/// The pupil administration gave no answer that can be read.
pub(super) fn of_las_error(metrics: &Metrics, error: LasError) -> Stop {
    metrics.las_failed(error);
    tracing::warn!(kind = error.label(), "the pupil administration gave no answer that can be read");
    fault(FaultCode::TijdelijkNietBeschikbaar, UNAVAILABLE)
}

/// A disclosure that failed before anything had left.
pub(super) fn of_disclosure(error: &Error) -> Stop {
    match error {
        Error::Refused(Refusal::Fault(code)) => Stop::Fault(of_las_fault(*code)),
        Error::Withdrawn(reason) => refused(*reason),
        Error::Held(_) | Error::RightsChanged | Error::Refused(Refusal::Stale) => {
            let code = FaultCode::TijdelijkNietBeschikbaar;
            Stop::Fault(Fault { code, text: UNAVAILABLE, because: error.reason() })
        }
        _ => fault(FaultCode::TijdelijkNietBeschikbaar, UNAVAILABLE),
    }
}

/// Says what ended a disclosure, and how much had left: the supplier sees a transfer that breaks, and no more.
pub(super) fn say(error: &Error, chunks: u32, bytes: u64) {
    match error {
        Error::Decode(error) if error.kind == decode::Kind::Io(UNWANTED) => {
            tracing::info!(chunks, bytes, "the supplier went away");
        }
        Error::Refused(Refusal::Fault(code)) => say_las_fault(*code),
        Error::Refused(reason) => {
            tracing::warn!(reason = %reason, chunks, bytes, "the answer of the pupil administration was refused");
        }
        Error::Decode(error) => {
            tracing::warn!(line = error.line, kind = ?error.kind, chunks, bytes, "the answer of the pupil administration was refused");
        }
        Error::Held(_) => {
            tracing::warn!(reason = %error, chunks, bytes, "held: it differs too much from the delivery before");
        }
        Error::RightsChanged => tracing::info!(chunks, bytes, "objections or consents changed meanwhile"),
        Error::Withdrawn(reason) => {
            let rule = reason.rule().as_str();
            tracing::warn!(rule, reason = reason.text(), chunks, bytes, "nothing more may leave");
        }
        // Said once, when the exchange's account is closed.
        Error::Log(_) => {}
        Error::Receiver(kind) => tracing::warn!(%kind, chunks, bytes, "the supplier takes no more"),
    }
}

/// Says what the pupil administration refused, so that whoever looks after the school's settings there can act. The
/// code is one of ours: what the LAS wrote itself is not repeated.
pub(super) fn say_las_fault(code: FaultCode) {
    let code_text = code.as_str();
    match code {
        FaultCode::AutorisatieOngeldig | FaultCode::OngeldigeKlantIdentificatie => tracing::warn!(
            code = code_text,
            "the pupil administration refuses the school's own credentials: check its las.authorisation, and whether \
             the school has allowed Sluis there"
        ),
        _ => tracing::warn!(code = code_text, "the pupil administration answered with a fault"),
    }
}

/// What a fault of the LAS means to a supplier. Its words are not passed on, and neither is a complaint about
/// credentials: those are Sluis's own.
pub(super) fn of_las_fault(code: FaultCode) -> Fault {
    let text = match code {
        FaultCode::EldResultaatOngeldig => "Een ELD-resultaat is ongeldig.",
        FaultCode::LeerlingOngeldig => "Een leerling is niet bekend in de leerlingadministratie.",
        FaultCode::ScoreOngeldig => "Een score is ongeldig.",
        FaultCode::ToetsNormeringOngeldig => "Een toetsnormering is ongeldig.",
        FaultCode::VocabulaireTermOngeldig => "Een vocabulaireterm is ongeldig.",
        FaultCode::XsdVersieOngeldig => "De leerlingadministratie kent deze versie van de standaard niet.",
        FaultCode::AutorisatieOngeldig
        | FaultCode::InterneFout
        | FaultCode::OngeldigBericht
        | FaultCode::OngeldigeKlantIdentificatie
        | FaultCode::TijdelijkNietBeschikbaar => {
            let code = FaultCode::TijdelijkNietBeschikbaar;
            return Fault { code, text: UNAVAILABLE, because: None };
        }
    };
    Fault { code, text, because: None }
}

/// The fault as a message.
pub(super) fn message(fault: Fault) -> String {
    let Fault { code, text, because } = fault;
    let because = because.map(|reason| format!(" Reden: {reason}.")).unwrap_or_default();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Body><soapenv:Fault>\
         <faultcode>soapenv:{}</faultcode><faultstring>{text}{because}</faultstring>\
         </soapenv:Fault></soapenv:Body></soapenv:Envelope>\n",
        code.as_str()
    )
}
