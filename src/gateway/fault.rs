//! What ends a request without an answer: a UWLR fault with words of ours, or a problem document.

use hyper::StatusCode;

use crate::{exchange::Error, fault::FaultCode, las::LasError, minimise::Refusal};

/// A fault in the making: its code, and a text that is ours and says nothing of anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: FaultCode,
    pub(super) text: &'static str,
}

/// What ends a request without an answer of the LAS.
pub(super) enum Stop {
    Fault(Fault),
    Problem(StatusCode, &'static str),
}

pub(super) fn fault(code: FaultCode, text: &'static str) -> Stop {
    Stop::Fault(Fault { code, text })
}

pub(super) const UNAVAILABLE: &str =
    "De gegevens zijn tijdelijk niet beschikbaar. Probeer het later opnieuw.";
pub(super) const REFUSED: &str = "Geen toestemming voor deze uitwisseling.";

/// The pupil administration gave no answer that can be read.
pub(super) fn of_las_error(error: LasError) -> Stop {
    tracing::warn!(kind = error.label(), "the pupil administration gave no answer that can be read");
    fault(FaultCode::TijdelijkNietBeschikbaar, UNAVAILABLE)
}

/// A disclosure that failed before anything had left.
pub(super) fn of_disclosure(error: &Error) -> Stop {
    match error {
        Error::Refused(Refusal::Fault(code)) => return Stop::Fault(of_las_fault(*code)),
        Error::Refused(reason) => {
            tracing::warn!(reason = %reason, "the answer of the pupil administration was refused");
        }
        Error::Decode(error) => {
            tracing::warn!(line = error.line, kind = ?error.kind, "the answer of the pupil administration was refused");
        }
        Error::Log(error) => tracing::error!(reason = %error, "a disclosure could not be put on record"),
        Error::Receiver(kind) => tracing::info!(%kind, "the supplier went away before anything had left"),
    }
    fault(FaultCode::TijdelijkNietBeschikbaar, UNAVAILABLE)
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
            return Fault { code: FaultCode::TijdelijkNietBeschikbaar, text: UNAVAILABLE };
        }
    };
    Fault { code, text }
}

/// The fault as a message.
pub(super) fn message(fault: Fault) -> String {
    let Fault { code, text } = fault;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Body><soapenv:Fault>\
         <faultcode>soapenv:{}</faultcode><faultstring>{text}</faultstring>\
         </soapenv:Fault></soapenv:Body></soapenv:Envelope>\n",
        code.as_str()
    )
}
