//! Every text of the app, in Dutch and in English: one catalogue, so that none is missing in either.
//!
//! `{}` stands for what is filled in, in the same order in both. Reports have texts of their own, in Dutch: they are for
//! parents and the supervisor.

use super::account::Language;

impl Language {
    const ALL: [Self; 2] = [Self::En, Self::Nl];

    /// As HTML and cookies have it.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Nl => "nl",
        }
    }

    pub(super) fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Self::En => &EN,
            Self::Nl => &NL,
        }
    }
}

macro_rules! texts {
    ($($key:ident: $nl:literal, $en:literal;)*) => {
        /// All texts in one language.
        pub(super) struct Texts { $(pub(super) $key: &'static str,)* }
        static NL: Texts = Texts { $($key: $nl,)* };
        static EN: Texts = Texts { $($key: $en,)* };
        #[cfg(test)]
        const ALL: &[(&str, &str, &str)] = &[$((stringify!($key), $nl, $en),)*];
    };
}

/// A text with what belongs in its places.
pub(super) fn fill(text: &str, values: &[&dyn std::fmt::Display]) -> String {
    let mut parts = text.split("{}");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for (place, part) in parts.enumerate() {
        if let Some(value) = values.get(place) {
            out.push_str(&value.to_string());
        }
        out.push_str(part);
    }
    out
}

texts! {
    // the frame
    brand: "Sluis", "Sluis";
    tagline: "verantwoording van verstrekkingen", "account of disclosures";
    skip: "Naar de inhoud", "Skip to content";
    menu: "Hoofdmenu", "Main menu";
    overview: "Overzicht", "Overview";
    disclosures: "Verstrekkingen", "Disclosures";
    suppliers: "Leveranciers", "Suppliers";
    pupil: "Leerling", "Pupil";
    breach: "Datalek", "Breach";
    review: "Controle", "Review";
    decisions: "Besluiten", "Decisions";
    log_out: "Uitloggen", "Log out";
    logged_in_as: "Ingelogd als {} ({})", "Logged in as {} ({})";
    role_fg: "functionaris gegevensbescherming", "data protection officer";
    role_beheerder: "beheerder", "administrator";
    role_goedkeurder: "goedkeurder", "approver";
    other_language: "English", "Nederlands";
    other_language_lang: "en", "nl";
    foot: "Sluis laat zien wat via Sluis is verstrekt. Elke raadpleging van persoonsgegevens komt zelf in het logboek.",
        "Sluis shows what was disclosed through Sluis. Each look at personal data is itself put in the log.";
    school: "School", "School";
    supplier: "Leverancier", "Supplier";
    all: "alle", "all";
    all_schools: "Alle scholen", "All schools";
    from: "Van", "From";
    until: "Tot en met", "Until";
    show: "Tonen", "Show";
    no: "nee", "no";
    none: "geen", "none";
    unknown: "onbekend", "unknown";
    download_csv: "CSV downloaden", "Download CSV";
    download_pdf: "PDF downloaden", "Download PDF";
    dutch_report: "Rapporten zijn in het Nederlands: ze zijn voor ouders en de toezichthouder.",
        "Reports are in Dutch: they are for parents and the supervisor.";
    when: "Wanneer", "When";
    reference: "Kenmerk", "Reference";
    reason: "Reden", "Reason";
    date: "Datum", "Date";
    month: "Maand", "Month";
    status: "Status", "Status";

    // log-in
    log_in: "Inloggen", "Log in";
    log_in_intro: "Voor de functionaris gegevensbescherming, beheerders en goedkeurders van de school. Uw beheerder maakt een \
        account met het commando sluis users add.",
        "For the data protection officer, administrators and approvers of the school. Your administrator makes an account \
        with the command sluis users add.";
    account_name: "Gebruikersnaam", "User name";
    passphrase: "Wachtwoordzin", "Passphrase";
    code: "Code uit uw authenticator-app (6 cijfers)", "Code from your authenticator app (6 digits)";
    log_in_failed: "Inloggen is niet gelukt. Controleer naam, wachtwoordzin en code; elke code werkt één keer.",
        "Log-in failed. Check name, passphrase and code; each code works once.";
    log_in_wait: "Te veel pogingen. Wacht {} seconden en probeer het opnieuw.",
        "Too many attempts. Wait {} seconds and try again.";
    log_in_oidc: "Inloggen met het account van uw organisatie", "Log in with your organisation's account";
    log_in_oidc_closed: "Het inlogsysteem van uw organisatie antwoordt niet goed. Probeer het later, of log in met uw wachtwoordzin.",
        "Your organisation's log-in does not answer as it should. Try again later, or log in with your passphrase.";
    logged_out: "U bent uitgelogd.", "You are logged out.";
    session_ended: "Uw sessie is verlopen. Log opnieuw in.", "Your session has ended. Log in again.";

    // errors
    error_title: "Dat ging niet", "That did not work";
    not_found: "Deze pagina bestaat niet, of hoort bij een school die u niet mag zien.",
        "This page does not exist, or belongs to a school you may not see.";
    forbidden: "Uw rol mag dit niet.", "Your role may not do this.";
    stale_form: "Dit formulier is niet van deze sessie. Ga terug, ververs de pagina en probeer het opnieuw.",
        "This form is not of this session. Go back, reload the page and try again.";
    bad_request: "Deze vraag is niet te begrijpen.", "This request cannot be understood.";
    unreadable: "Het logboek kan niet worden gelezen. Laat uw beheerder sluis log verify draaien.",
        "The log cannot be read. Have your administrator run sluis log verify.";
    refused: "Niet gedaan: {}", "Not done: {}";

    // overview
    today: "Vandaag", "Today";
    this_month: "Deze maand", "This month";
    deliveries: "Verstrekkingen", "Deliveries";
    persons_in: "Personen in verstrekkingen", "Persons in deliveries";
    persons_hint: "Een persoon telt in elke verstrekking mee.", "A person counts in each delivery.";
    withheld_fields: "Gegevens achtergehouden", "Fields withheld";
    refusals: "Geweigerd", "Refused";
    failed: "Afgebroken", "Broken off";
    attention: "Vraagt aandacht", "Needs attention";
    open_holds: "Verstrekkingen die op een besluit wachten", "Deliveries that wait for a decision";
    open_approvals: "Overeenkomsten die op goedkeuring wachten", "Agreements that wait for approval";
    drift: "Nieuw in de bestanden van de school (30 dagen)", "New in the feeds of the school (30 days)";
    expiring: "Overeenkomsten die binnen 60 dagen aflopen", "Agreements that end within 60 days";
    open_notices: "Meldingen (AVG art. 19) die de ontvanger nog niet heeft verwerkt",
        "Notices (GDPR art. 19) that the recipient has not dealt with yet";
    unreviewed: "Maanden zonder controle", "Months without a review";
    nothing_open: "Er staat niets open.", "Nothing is open.";
    integrity: "Het logboek", "The log";
    log_intact: "Ongeschonden", "Intact";
    log_broken: "Niet in orde", "Not in order";
    log_unverified: "Nog niet gecontroleerd", "Not verified yet";
    log_verifying: "De controle loopt. Ververs de pagina om de uitkomst te zien.",
        "Verification is running. Reload the page to see the outcome.";
    last_verified: "Laatste controle", "Last verified";
    verified_entries: "{} regels nagerekend, {} bevindingen", "{} entries recomputed, {} findings";
    log_size: "Regels in het logboek", "Entries in the log";
    log_root: "Wortel van de boom", "Root of the tree";
    copy_checkpoint: "Kopie van het checkpoint", "Copy of the checkpoint";
    copy_same: "gelijk aan het logboek, van {}", "the same as the log, of {}";
    copy_attention: "Ongeschonden; kijk naar de kopie", "Intact; look at the copy";
    copy_ahead: "is verder dan het logboek: {} regels, van {}. Ververs de pagina; blijft dit zo, dan is het logboek teruggezet",
        "is ahead of the log: {} entries, of {}. Reload the page; if it stays so, the log was put back";
    copy_behind: "loopt achter: {} regels, van {}", "lags behind: {} entries, of {}";
    copy_missing: "ontbreekt", "missing";
    copy_differs: "WIJKT AF van het logboek", "DIFFERS from the log";
    verify_now: "Nu controleren", "Verify now";
    per_day: "Verstrekkingen per dag, laatste 30 dagen", "Deliveries per day, last 30 days";
    per_supplier: "Gegevens per leverancier, laatste 30 dagen", "Fields per supplier, last 30 days";
    fields_of: "{} van {} gegevens verstrekt", "{} of {} fields released";
    fields_hint: "Van de gegevens die in de bestanden van de school stonden, kreeg de leverancier deze.",
        "Of the fields that were in the feeds of the school, the supplier got these.";
    no_deliveries: "Geen verstrekkingen in deze periode.", "No deliveries in this period.";
    as_table: "Als tabel", "As a table";

    // disclosures
    filter: "Filter", "Filter";
    field: "Gegeven", "Field";
    outcome: "Afloop", "Outcome";
    basis: "Grondslag", "Legal basis";
    sent: "verzonden", "sent";
    broken_off: "afgebroken", "broken off";
    outcome_unknown: "onbekend (telt als verstrekt)", "unknown (counts as disclosed)";
    still_open: "onderweg", "under way";
    refused_short: "geweigerd", "refused";
    persons: "Personen", "Persons";
    pupils: "leerlingen", "pupils";
    staff: "leerkrachten", "teachers";
    agreement: "Overeenkomst", "Agreement";
    released: "Verstrekt", "Released";
    withheld: "Achtergehouden", "Withheld";
    newer: "Nieuwere", "Newer";
    older: "Oudere", "Older";
    pages: "Bladeren", "Pages";
    nothing_found: "Niets gevonden. Maak het filter ruimer.", "Nothing found. Widen the filter.";
    results_in: "leerresultaten naar de school", "results to the school";
    disclosure: "Verstrekking {}", "Disclosure {}";
    refusal: "Weigering {}", "Refusal {}";
    what: "Wat", "What";
    who: "Aan wie", "To whom";
    why: "Waarom", "Why";
    five_rules: "De vijf vuistregels", "The five rules";
    rule: "Regel", "Rule";
    verdict: "Oordeel", "Verdict";
    kept: "nageleefd", "kept";
    broken: "niet nageleefd: geweigerd", "not kept: refused";
    unjudged: "niet beoordeeld", "not judged";
    line: "regel {}", "line {}";
    no_line: "nodig voor de standaard", "needed by the standard";
    proof: "Bewijs", "Proof";
    proof_hint: "Dit bewijst dat de regel in het ondertekende logboek staat, en daar niet is veranderd. Een ander kan het nagaan \
        met een programma dat C2SP tlog-proof kent; dat hoeft geen Sluis te zijn.",
        "This proves that the entry is in the signed log, and was not changed there. Others can check it with a program that \
        knows C2SP tlog-proof, which need not be Sluis.";
    proof_pending: "Het bewijs is er zodra het logboek de regel heeft gepubliceerd, binnen enkele seconden.",
        "The proof is there once the log has published the entry, within seconds.";
    proof_download: "Bewijs downloaden", "Download the proof";
    transaction: "Transactie", "Transaction";
    started: "Begonnen", "Started";
    ended: "Geëindigd", "Ended";
    bytes: "Omvang", "Size";
    agreement_gone: "De tekst van deze overeenkomst is hier niet meer.", "The text of this agreement is no longer here.";
    masks_hint: "Verstrekt is wat van ten minste één persoon is verstrekt; hetzelfde gegeven kan van een ander zijn \
        achtergehouden.",
        "Released is what left about at least one person; the same field may have been withheld about another.";

    // suppliers
    agreements: "Overeenkomsten", "Agreements";
    valid: "Geldig", "Valid";
    in_force: "geldt nu", "in force";
    unapproved: "wacht op goedkeuring", "waits for approval";
    future: "gaat nog in", "not begun yet";
    ended_state: "beëindigd", "ended";
    purpose: "Doel", "Purpose";
    product: "Product", "Product";
    recipient_keeps: "Leverancier bewaart", "Supplier keeps";
    countries: "Land van opslag", "Country of storage";
    outside_eea: "Buiten de EER", "Outside the EEA";
    sub_processors: "Werken mee", "Sub-processors";
    contact: "Contact", "Contact";
    known_by: "Kent de leerling als", "Knows the pupil by";
    annex: "Privacybijsluiter", "Privacy annex";
    agreed_fields: "Gegevens: afgesproken en verstrekt", "Fields: agreed and released";
    agreed: "Afgesproken", "Agreed";
    times_sent: "Verstrekkingen met dit gegeven", "Deliveries with this field";
    times_withheld: "Achtergehouden in", "Withheld in";
    never_used: "nooit verstrekt", "never released";
    not_counted: "niet per persoon vastgelegd", "not recorded per person";
    volumes: "Omvang per maand", "Volumes per month";
    no_change: "Geen verschil met de versie die geldt.", "No difference with the version in force.";
    agreement_enter: "Overeenkomst invoeren", "Enter an agreement";
    agreement_next: "Nieuwe versie invoeren", "Enter a new version";
    agreement_intro: "Plak of schrijf de overeenkomst: wat de privacybijsluiter zegt, als tekst. Zet uw eigen naam bij `author`: \
        een goedkeurder keurt haar daarna goed, tenzij zij nergens meer toestaat.",
        "Paste or write the agreement: what the privacy annex says, as text. Put your own name at `author`: an approver \
        approves of it afterwards, unless it allows nothing more.";
    agreement_text: "Tekst van de overeenkomst", "Text of the agreement";
    agreement_check: "Controleren", "Check";
    agreement_wrong: "De overeenkomst is niet in orde.", "The agreement is not in order.";
    agreement_author: "Zet author = \"{}\" in de tekst: wie haar invoert, staat voor haar in.",
        "Put author = \"{}\" in the text: whoever enters it answers for it.";
    agreement_older: "Er is al een versie {} of nieuwer; geef deze een hoger nummer.",
        "There is a version {} or newer; give this one a higher number.";
    agreement_changes: "Dit verandert er", "This is what changes";
    agreement_save: "Vastleggen", "Enter";
    agreement_saved: "Vastgelegd. Zij geldt zodra een goedkeurder haar heeft goedgekeurd, of meteen als zij nergens meer toestaat. \
        Tot dan wordt er in haar periode niets verstrekt, ook niet volgens de versie ervoor.",
        "Entered. It is in force once an approver has approved of it, or at once if it allows nothing more. Until then nothing \
        is disclosed in its period, under the version before it neither.";
    agreement_not_saved: "De overeenkomst kon niet worden opgeslagen ({}). Geef Sluis schrijfrecht op de map met overeenkomsten.",
        "The agreement could not be saved ({}). Give Sluis the right to write in the folder of agreements.";
    agreement_not_taken: "De overeenkomst is teruggedraaid: met haar is de configuratie niet in orde. De meldingen van Sluis zeggen waarom.",
        "The agreement was taken back: with it the configuration is not in order. The messages of Sluis say why.";
    newly_received: "Nieuw ontvangen", "Newly received";
    no_longer: "Minder of anders", "Less or different";
    notices: "Meldingen (AVG art. 19)", "Notices (GDPR art. 19)";
    notice_open: "nog niet opgehaald", "not fetched yet";
    notice_delivered: "opgehaald op {}", "fetched on {}";
    notice_done: "verwerkt op {}", "dealt with on {}";
    last_delivery: "Laatste verstrekking", "Last delivery";
    published: "Rapporten van de school", "Reports of the school";
    published_hint: "Ze volgen uit de overeenkomsten; er is niet voor in het logboek gelezen.",
        "They follow from the agreements; the log was not read for them.";
    report_recipients: "Overzicht van leveranciers", "Overview of suppliers";
    report_register: "Verwerkingsregister", "Register of processing";
    report_statement: "Privacyverklaring", "Privacy statement";
    no_suppliers: "Er zijn geen leveranciers voor uw scholen.", "There are no suppliers for your schools.";

    // pupil
    pupil_intro: "Zoek wat er over één persoon is verstrekt. Typ of scan het nummer; het staat nooit in een adres en wordt na \
        het antwoord vergeten. Dat u zoekt, en waarom, komt in het logboek.",
        "Look up what was disclosed about one person. Type or scan the number; it is never in an address and is forgotten \
        after the answer. That you look, and why, is put in the log.";
    by_what: "Soort nummer", "Kind of number";
    by_key: "Leerlingnummer (sleutel van de leerlingadministratie)", "Pupil number (key of the pupil administration)";
    by_eckid: "ECK iD of pseudoniem", "ECK iD or pseudonym";
    by_pgn: "BSN of onderwijsnummer", "BSN or onderwijsnummer";
    by_handle: "Code uit het logboek (handle)", "Code of the log (handle)";
    number: "Nummer", "Number";
    number_form: "Dit nummer heeft niet de vorm van het gekozen soort. Kijk het soort en de tekens na.",
        "This number has not the form of the kind that was chosen. Check the kind and what was typed.";
    number_kind: "Het logboek van deze school kent personen aan een ander nummer. Zoek op: {}.",
        "The log of this school knows persons by another number. Look up by: {}.";
    number_not_given_out: "Geen leverancier heeft dit pseudoniem van deze school gekregen, voor zover het logboek reikt.",
        "No supplier was given this pseudonym by this school, as far as the log reaches.";
    is_staff: "Het gaat om een leerkracht", "It is a teacher";
    look_up: "Opzoeken", "Look up";
    why_reading: "Waarom zoekt u dit op?", "Why do you look this up?";
    reason_inzage: "Verzoek om inzage", "Request for access";
    reason_rights: "Bezwaar, beperking of toestemming", "Objection, restriction or consent";
    reason_correction: "Correctie of verwijdering", "Correction or erasure";
    reason_complaint: "Klacht of vraag", "Complaint or question";
    reason_breach: "Vermoeden van een datalek", "Suspected breach";
    reason_review: "Controle door de FG", "Review by the DPO";
    choose: "Kies een reden", "Choose a reason";
    subject_gone: "Deze opzoeking is verlopen. Zoek de persoon opnieuw op.", "This look-up has expired. Look the person up again.";
    rights: "Bezwaren, beperkingen en toestemmingen", "Objections, restrictions and consents";
    rights_none: "Er staat voor deze persoon niets vast.", "Nothing stands for this person.";
    rights_kind: "Soort", "Kind";
    rights_scope: "Waarover", "About";
    rights_by: "Besloten door", "Decided by";
    rights_entered: "Vastgelegd op", "Entered on";
    rights_add: "Vastleggen", "Enter";
    rights_lift: "Intrekken", "Lift";
    bezwaar: "bezwaar (art. 21)", "objection (art. 21)";
    beperking: "beperking (art. 18)", "restriction (art. 18)";
    toestemming: "toestemming", "consent";
    ouder: "ouder of voogd", "parent or guardian";
    betrokkene: "de persoon zelf (16 jaar of ouder, of leerkracht)", "the person (16 or older, or a teacher)";
    scope_all: "alle overeenkomsten van de school", "all agreements of the school";
    scope_purpose: "doel: {}", "purpose: {}";
    scope_agreement: "overeenkomst {}", "agreement {}";
    entered: "Vastgelegd, kenmerk {}. Het geldt vanaf de volgende leerling van elk bestand.",
        "Entered, reference {}. It holds from the next pupil of each feed on.";
    lifted: "Ingetrokken, kenmerk {}.", "Lifted, reference {}.";
    law_goes_on: "Deze overeenkomst rust op {}: die gaat door, wat iemand ook bezwaart. Zeg dat tegen de persoon.",
        "This agreement rests on {}, which goes on whatever a person objects. Tell the person so.";
    erase: "Wissen", "Erase";
    erase_hint: "Wist alles wat het logboek van deze persoon heeft. Het logboek blijft controleerbaar; wie wat kreeg is daarna \
        niet meer te zeggen. Zorg dat ontvangers eerst zijn ingelicht (sluis notices).",
        "Erases all that the log has of this person. The log can still be verified; who got what can no longer be told. \
        See that recipients are told first (sluis notices).";
    erase_confirm: "Ik weet dat dit niet kan worden teruggedraaid", "I know that this cannot be undone";
    erased: "Gewist: {} regels en {} samenvattingen. {} regels van vandaag kunnen pas weg als de dag voorbij is: wis dan opnieuw.",
        "Erased: {} rows and {} summaries. {} rows of today can only go once the day is over: erase again then.";

    // breach
    breach_intro: "Kies de leverancier waar het lek was. Plak de gelekte pseudoniemen, of laat dat vak leeg voor alles wat de \
        leverancier in de periode kreeg. Het rapport heeft wat de melding binnen 72 uur moet bevatten.",
        "Choose the supplier that had the breach. Paste the leaked pseudonyms, or leave that field empty for all the supplier \
        got in the period. The report has what the notification within 72 hours must hold.";
    pseudonyms: "Gelekte pseudoniemen, één per regel", "Leaked pseudonyms, one a line";
    make_report: "Rapport maken", "Make the report";
    affected_csv: "Geraakte personen als CSV", "Affected persons as CSV";

    // review
    review_intro: "Elke maand een steekproef van verstrekkingen. Welke dat zijn, volgt uit de wortel van het logboek aan het \
        eind van de maand: niemand kan ze kiezen. Uw oordeel wordt met uw account in het logboek vastgelegd.",
        "Each month a sample of deliveries. Which ones follows from the root of the log at the end of the month: nobody can \
        choose them. Your verdict is put in the log with your account.";
    reviewed_by: "Gecontroleerd door", "Reviewed by";
    not_reviewed: "nog niet gecontroleerd", "not reviewed yet";
    month_running: "loopt nog", "still running";
    sample_of: "Steekproef: {} van {} verstrekkingen", "Sample: {} of {} deliveries";
    seed: "Zaad: wortel van de boom van {} regels", "Seed: root of the tree of {} entries";
    in_order: "in orde", "in order";
    finding: "bevinding", "finding";
    remark: "Opmerking", "Remark";
    remark_hint: "Schrijf geen namen of nummers van leerlingen op.", "Do not write down names or numbers of pupils.";
    conclusion: "Conclusie", "Conclusion";
    attest: "Ondertekenen", "Attest";
    attested: "Vastgelegd in het logboek, kenmerk {}.", "Put in the log, reference {}.";
    progress: "{} van {} beoordeeld", "{} of {} judged";
    judge_all: "Beoordeel elke verstrekking: kies ‘in orde’ of ‘bevinding’ bij alle {}.",
        "Judge each delivery: choose ‘in order’ or ‘finding’ for all {}.";
    findings: "Bevindingen", "Findings";
    nothing_to_review: "In deze maand is niets verstrekt. U kunt dat vastleggen.",
        "Nothing was disclosed in this month. You can attest to that.";
    already_reviewed: "Deze maand is al gecontroleerd.", "This month has been reviewed.";

    // decisions
    holds: "Vastgehouden verstrekkingen", "Held deliveries";
    holds_intro: "Deze verstrekkingen wijken sterk af van de vorige. Er is niets van vertrokken, tenzij ze te groot waren om te \
        bewaren terwijl ze werden beoordeeld.",
        "These deliveries differ strongly from the one before. Nothing of them has left, unless they were too large to be \
        kept while they were judged.";
    no_holds: "Er wordt niets vastgehouden.", "Nothing is held.";
    gone_of: "{} van {} leerlingen weg", "{} of {} pupils gone";
    changed_of: "{} van {} nieuw of anders", "{} of {} new or different";
    fill_of: "anders gevuld: {}", "filled differently: {}";
    approve: "Goedkeuren", "Approve";
    reject: "Afwijzen", "Reject";
    decided_approved: "goedgekeurd door {}: {}", "approved by {}: {}";
    decided_rejected: "afgewezen door {}: {}", "rejected by {}: {}";
    approved: "Goedgekeurd, kenmerk {}.", "Approved, reference {}.";
    rejected: "Afgewezen, kenmerk {}.", "Rejected, reference {}.";
    approvals: "Overeenkomsten die op goedkeuring wachten", "Agreements that wait for approval";
    no_approvals: "Geen overeenkomst wacht op goedkeuring.", "No agreement waits for approval.";
    drawn_up_by: "Opgesteld door {}", "Drawn up by {}";
    version: "versie {}", "version {}";
    decided: "Eerder besloten", "Decided before";
    give_reason: "Geef een reden van 1 tot 500 tekens.", "Give a reason of 1 to 500 characters.";
    drift_list: "Nieuw in de bestanden van de school", "New in the feeds of the school";
    drift_hint: "Wat de leerlingadministratie begon te sturen. Geen overeenkomst noemt het, dus het is achtergehouden.",
        "What the pupil administration began to send. No agreement names it, so it was withheld.";
    feed: "Bestand", "Feed";
    part: "Onderdeel", "Part";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_have_the_same_places_to_fill() {
        for (key, nl, en) in ALL {
            assert_eq!(nl.matches("{}").count(), en.matches("{}").count(), "{key}");
            assert!(!nl.trim().is_empty() && !en.trim().is_empty(), "{key}");
        }
    }

    #[test]
    fn texts_are_filled_in_order() {
        assert_eq!(fill(NL.fields_of, &[&7, &31]), "7 van 31 gegevens verstrekt");
        assert_eq!(fill("{}{}", &[&"a"]), "a");
    }
}
