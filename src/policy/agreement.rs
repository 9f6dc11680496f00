//! stub
use std::collections::BTreeMap;
use crate::catalogue::Treatment;
pub struct Release { pub treatment: Treatment, pub line: usize }
pub struct Agreement { pub release: BTreeMap<String, Release> }
