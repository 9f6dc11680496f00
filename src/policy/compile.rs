//! An agreement against the catalogue: a ruling for every field there is.

use super::{Ruling, agreement::Agreement};
use crate::catalogue::{Catalogue, Field, FieldId, Kind, RecordId, Sensitivity, Treatment, catalogue};

/// The rulings of one agreement. Every field of the catalogue has one; the default is [`Ruling::Withhold`].
#[derive(Debug)]
pub struct Rulings {
    rulings: Vec<Ruling>,
    /// Line of the agreement that decides, per field.
    lines: Vec<Option<usize>>,
    /// Per record kind, whether the agreement covers it at all.
    covered: Vec<bool>,
}

impl Rulings {
    /// Compiles an agreement.
    ///
    /// A kind of record is covered when a line names one of its fields, or a reference to it: who may know a pupil's
    /// group gets the group. Keys, ECK iDs and what merely names school and school year need no line of their own.
    pub fn compile(agreement: &Agreement) -> Self {
        let catalogue = catalogue();
        let mut rulings = vec![Ruling::Withhold; catalogue.fields().len()];
        let mut lines = vec![None; catalogue.fields().len()];
        let mut covered = vec![false; catalogue.records().len()];
        for (name, release) in &agreement.release {
            // Loading an agreement refuses unknown fields; skipping one here can only withhold more.
            let Some(field) = catalogue.find(name) else { continue };
            if !field.treatments.contains(&release.treatment) {
                continue;
            }
            rulings[field.id.index()] = ruling(field, release.treatment);
            lines[field.id.index()] = Some(release.line);
            covered[field.record.index()] = true;
        }
        cover_references(catalogue, &rulings, &mut covered);
        for field in catalogue.fields() {
            let own = catalogue.record(field.record);
            let identity = own.key == Some(field.id) || own.eckid == Some(field.id);
            if field.sensitivity == Sensitivity::Addressing {
                rulings[field.id.index()] = Ruling::Pass;
            } else if identity && covered[field.record.index()] {
                rulings[field.id.index()] = Ruling::Pseudonymise;
            }
        }
        let school = catalogue.record_named("school");
        covered[school.index()] = true;
        Self { rulings, lines, covered }
    }

    /// Whether all that others let through is let through in the same way.
    pub fn allow_all_of(&self, others: &Self) -> bool {
        let same = |(own, other): (&Ruling, &Ruling)| *other == Ruling::Withhold || own == other;
        let covers = |(own, other): (&bool, &bool)| *own || !*other;
        self.rulings.iter().zip(&others.rulings).all(same)
            && self.covered.iter().zip(&others.covered).all(covers)
    }

    /// What happens to a field.
    pub fn ruling(&self, field: FieldId) -> Ruling {
        self.rulings[field.index()]
    }

    /// The line of the agreement that releases a field.
    pub fn line(&self, field: FieldId) -> Option<usize> {
        self.lines[field.index()]
    }

    /// Whether records of this kind may leave at all.
    pub fn covers(&self, record: RecordId) -> bool {
        self.covered[record.index()]
    }
}

fn ruling(field: &Field, treatment: Treatment) -> Ruling {
    match (field.kind, treatment) {
        // A reference means nothing to a supplier, and can be a pupil's number: it becomes a token whatever is asked.
        (Kind::Key | Kind::Eckid, _) | (_, Treatment::Pseudonym) => Ruling::Pseudonymise,
        (_, Treatment::Pass) => Ruling::Pass,
        (_, Treatment::Initial | Treatment::Month | Treatment::Pc4 | Treatment::Year) => {
            Ruling::Generalise(treatment)
        }
    }
}

fn cover_references(catalogue: &Catalogue, rulings: &[Ruling], covered: &mut [bool]) {
    for (reference, targets) in [
        ("leerling.groep", &["groep"][..]),
        ("leerling.samengestelde_groepen", &["samengestelde_groep"]),
        ("leerling.vestiging", &["vestiging"]),
        ("leerkracht.groepen", &["groep", "samengestelde_groep"]),
    ] {
        if rulings[catalogue.field_named(reference).index()] != Ruling::Withhold {
            for target in targets {
                covered[catalogue.record_named(target).index()] = true;
            }
        }
    }
}
