//! The codes of UWLR's faults, as suppliers and pupil administrations know them.

/// Codes of UWLR faults that tell a supplier something; see the UWLR standard, chapter on error handling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultCode {
    /// `Client.AutorisatieOngeldig`.
    AutorisatieOngeldig,
    /// `Client.EldResultaatOngeldig`.
    EldResultaatOngeldig,
    /// `Server.InterneFout`.
    InterneFout,
    /// `Client.LeerlingOngeldig`.
    LeerlingOngeldig,
    /// `Client.OngeldigBericht`.
    OngeldigBericht,
    /// `Client.OngeldigeKlantIdentificatie`.
    OngeldigeKlantIdentificatie,
    /// `Client.ScoreOngeldig`.
    ScoreOngeldig,
    /// `Server.TijdelijkNietBeschikbaar`.
    TijdelijkNietBeschikbaar,
    /// `Client.ToetsNormeringOngeldig`.
    ToetsNormeringOngeldig,
    /// `Client.VocabulaireTermOngeldig`.
    VocabulaireTermOngeldig,
    /// `Client.XsdVersieOngeldig`.
    XsdVersieOngeldig,
}

impl FaultCode {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::AutorisatieOngeldig,
        Self::EldResultaatOngeldig,
        Self::InterneFout,
        Self::LeerlingOngeldig,
        Self::OngeldigBericht,
        Self::OngeldigeKlantIdentificatie,
        Self::ScoreOngeldig,
        Self::TijdelijkNietBeschikbaar,
        Self::ToetsNormeringOngeldig,
        Self::VocabulaireTermOngeldig,
        Self::XsdVersieOngeldig,
    ];

    /// The code as a fault carries it, without prefix.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AutorisatieOngeldig => "Client.AutorisatieOngeldig",
            Self::EldResultaatOngeldig => "Client.EldResultaatOngeldig",
            Self::InterneFout => "Server.InterneFout",
            Self::LeerlingOngeldig => "Client.LeerlingOngeldig",
            Self::OngeldigBericht => "Client.OngeldigBericht",
            Self::OngeldigeKlantIdentificatie => "Client.OngeldigeKlantIdentificatie",
            Self::ScoreOngeldig => "Client.ScoreOngeldig",
            Self::TijdelijkNietBeschikbaar => "Server.TijdelijkNietBeschikbaar",
            Self::ToetsNormeringOngeldig => "Client.ToetsNormeringOngeldig",
            Self::VocabulaireTermOngeldig => "Client.VocabulaireTermOngeldig",
            Self::XsdVersieOngeldig => "Client.XsdVersieOngeldig",
        }
    }

    /// The code a fault carries; anything unknown is an internal fault of whoever sent it.
    pub fn parse(code: &str) -> Self {
        Self::ALL.into_iter().find(|known| known.as_str() == code).unwrap_or(Self::InterneFout)
    }
}
