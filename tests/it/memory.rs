//! What the memory of a served gateway gives away: it is never dumped, and at rest it holds nothing of anyone.

use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    os::unix::{
        fs::{FileExt, MetadataExt},
        process::ExitStatusExt,
    },
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    documents::feed,
    home::Home,
    planted::{NAME, NUMBERS, find},
    served::{
        ASK, FakeLas, Served, attribute, begin, connect, held_back, post, read_all, request, send,
        try_connect,
    },
};

/// As patient as a machine that does much else at once may need.
const PATIENT: &str = "las_response_ms = 20000\nlas_idle_ms = 20000\nheader_read_ms = 60000\n";

/// Six hundred pupils, so that something leaves before the end is read, all with a name and a key that may not, and the
/// planted numbers among them.
fn many_planted() -> String {
    let pupils: String = (0..600)
        .map(|i| {
            let number = NUMBERS.get(i % 100).map_or(String::new(), |number| format!("<bsn>{number}</bsn>"));
            format!(
                "<leerling key=\"{NAME}{i}\"><voornamen>{NAME}</voornamen><roepnaam>Jip</roepnaam>{number}</leerling>"
            )
        })
        .collect();
    feed(&format!("<leerlingen>{pupils}</leerlingen>"))
}

/// Files in a folder that are named as core dumps are.
fn dumps(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("core") || name.ends_with(".core")).collect()
}

#[test]
#[allow(clippy::print_stderr, reason = "what could not be tested has to be said")]
fn no_core_dump_is_left_by_a_process_that_is_aborted() {
    // Where this leaves none either, as on a machine whose hard limit is 0, only the limits below tell.
    let elsewhere = tempfile::tempdir().unwrap();
    let script = "ulimit -c unlimited; kill -ABRT $$";
    let other = Command::new("sh").args(["-c", script]).current_dir(elsewhere.path()).status().unwrap();
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if !other.core_dumped() {
        eprintln!("nothing leaves a core dump on this machine");
    } else if pattern.trim() == "core" {
        assert_eq!(dumps(elsewhere.path()).len(), 1, "another process leaves one here");
    }

    let home = Home::new();
    let document = many_planted();
    let (las, _release) = held_back(document.clone(), document.len() - 200);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited; exec \"$0\" serve"]).arg(home.sluis(&[]).get_program());
    command.current_dir(home.path(""));
    let served = Served::with(&home, &las, PATIENT, command);
    let mut stream = connect(&home, &served, Some("noordzee"));
    send(&mut stream, &request(&home, "leerlinggegevens_verzoek", ASK), "text/xml");
    begin(&mut stream);
    if cfg!(target_os = "linux") {
        let limits = fs::read_to_string(format!("/proc/{}/limits", served.id())).unwrap();
        let limit = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
        assert_eq!(limit.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"]);
    }
    let ended = served.abort();
    assert_eq!(ended.signal(), Some(6), "{ended}");
    assert!(!ended.core_dumped(), "{ended}");
    assert_eq!(dumps(&home.path("")), [""; 0]);
}

/// What may be written to of the memory of a process and is its own: by the name of each part, its bytes.
fn memory(process: u32) -> io::Result<Vec<(String, Vec<u8>)>> {
    let memory = fs::File::open(format!("/proc/{process}/mem"))?;
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    let mut parts = Vec::new();
    for line in maps.lines() {
        let [range, access, ..] = line.split_whitespace().collect::<Vec<_>>()[..] else { continue };
        if !(access.starts_with("rw") && access.ends_with('p')) {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        match memory.read_exact_at(&mut bytes, from) {
            Ok(()) => parts.push((line.to_owned(), bytes)),
            // The stack of a thread that ended since the list was made.
            Err(error) if error.raw_os_error() == Some(5) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(parts)
}

/// Where what was planted stands in the memory of a process, and in what surroundings.
fn planted_in(process: u32) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for (part, bytes) in memory(process)? {
        found.extend(find(&bytes).into_iter().map(|(at, what)| {
            let around = &bytes[at.saturating_sub(32)..bytes.len().min(at + 32)];
            format!("{what} at {at:#x} of {part}: {}", String::from_utf8_lossy(around).escape_debug())
        }));
    }
    Ok(found)
}

/// Waits until nothing planted is left, with so many connections of suppliers open.
///
/// An exchange ends, and then what it held is freed: whoever sees the first cannot know the other, except by looking
/// again. That may not take as long as a thread without work lives: what is on its stack must go before the thread does.
fn wait_until_clean(served: &Served, suppliers: usize) {
    // The one that asks counts too.
    served.until("/metrics", &format!("sluis_connections {}\n", suppliers + 1));
    let late = Instant::now() + Duration::from_secs(5);
    loop {
        // To search what was read can itself take long.
        let looked = Instant::now();
        let found = planted_in(served.id()).unwrap();
        if found.is_empty() {
            return;
        }
        let some = found[..8.min(found.len())].join("\n");
        assert!(looked < late, "{} times, of which\n{some}", found.len());
    }
}

/// Documents with the numbers where they belong and where they do not, whole and damaged; how much of each is sent.
fn documents() -> Vec<(Vec<u8>, usize)> {
    let whole = many_planted();
    let wide = format!("\u{FEFF}{whole}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let [first, second, third] = NUMBERS;
    let everywhere = feed(&format!(
        "<!-- {first} --><leerlingen><leerling key=\"{first}\" eckid=\"{second}\"><roepnaam>Jip {second}</roepnaam>{third}\
         <kanarie>{third}</kanarie><bsn>{first}</bsn><bsn>{second}</bsn></leerling></leerlingen>"
    ));
    let damaged = [
        whole.replace("</leerlingen>", &format!("</k{first}>")),
        whole.replacen("</bsn>", "&#x1;</bsn>", 1),
        whole.replace("99DE", second),
    ];
    let documents: Vec<Vec<u8>> =
        [vec![whole.clone().into(), wide, everywhere.into()], damaged.map(Vec::from).into()].concat();
    let sent = |document: Vec<u8>| (document.len(), document);
    let broken_off = [whole.len() / 2, whole.len() - 200].map(|sent| (whole.clone().into(), sent));
    documents.into_iter().map(sent).map(|(sent, document)| (document, sent)).chain(broken_off).collect()
}

#[test]
#[allow(clippy::print_stderr, reason = "what could not be tested has to be said")]
fn at_rest_the_memory_holds_nothing_that_had_to_stay() {
    let home = Home::new();
    // The number is what pseudonyms are made from, so that it gets to every place where there is any.
    home.edit("sluis.toml", |text| text.replace("[[school]]\n", "[[school]]\nidentity = \"pgn\"\n"));
    let documents = documents();
    let kinds = documents.len();
    let (release, held) = mpsc::channel();
    let (held, asked) = (Mutex::new(held), AtomicUsize::new(0));
    let las = FakeLas::at_once(move |_, stream| {
        let turn = asked.fetch_add(1, Ordering::Relaxed);
        // Each twice at once, and after that whole ones.
        let (document, sent) = &documents[if turn <= 2 * kinds { turn % kinds } else { 0 }];
        let length = document.len();
        // The first connection is kept for a next request, with all that was read from it.
        let kept = if turn == 0 { "" } else { "Connection: close\r\n" };
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n{kept}Content-Length: {length}\r\n\r\n"
        );
        let held_back = if turn == 0 { 200 } else { 0 };
        let _ = stream.write_all(&document[..sent - held_back]);
        if turn == 0 {
            let () = held.lock().unwrap().recv().unwrap();
            let _ = stream.write_all(&document[sent - held_back..]);
        }
        if *sent == length {
            // It is not the one to close.
            let _ = stream.read(&mut [0]);
        }
    });
    let served = Served::with(&home, &las, PATIENT, home.sluis(&["serve"]));
    let own = fs::metadata("/proc/self");
    match planted_in(served.id()) {
        Ok(found) => {
            assert!(own.is_ok_and(|own| own.uid() == 0), "others of the same user may not look into it");
            assert_eq!(found, [""; 0]);
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            eprintln!(
                "only root may look into a process, and only where there is /proc: the rest is not tested"
            );
            return;
        }
        Err(error) => panic!("{error}"),
    }
    let ask = request(&home, "leerlinggegevens_verzoek", ASK);
    let port = served.gateway;
    let begun = || {
        let mut stream = try_connect(&home, port, Some("noordzee")).unwrap();
        send(&mut stream, &ask, "text/xml");
        stream
    };

    let mut stream = begun();
    let answer = begin(&mut stream);
    let found = planted_in(served.id()).unwrap();
    for planted in NUMBERS.into_iter().chain([NAME]) {
        let there = found.iter().any(|found| found.starts_with(planted));
        assert!(there, "{planted} is at work, and has to be found");
    }
    release.send(()).unwrap();
    let answer = String::from_utf8(answer).unwrap() + &read_all(&mut stream);
    let token = attribute(&answer, "leerling", "key");
    drop(stream);
    wait_until_clean(&served, 0);

    thread::scope(|scope| {
        for _ in 0..2 * kinds {
            scope.spawn(|| read_all(&mut begun()));
        }
        // And one that goes away as soon as it has something.
        scope.spawn(|| drop(begun().read(&mut [0])));
    });
    // What a supplier should never send.
    let planted = format!("{ASK}<kanarie>{0}</kanarie><groep key=\"{0}\">{0}</groep>", NUMBERS[0]);
    post(&home, &served, &request(&home, "leerlinggegevens_verzoek", &planted));
    // Results, which take the pupil's key back to the LAS, and ones with what is none.
    for leerling in [token, NUMBERS[1]] {
        let results = format!(
            "<school><schooljaar>2026-2027</schooljaar><brincode>99DE</brincode>\
             <aanmaakdatum>2026-11-11T00:05:46</aanmaakdatum><xsdversie>2.2</xsdversie></school><toetsafnames><toetsafname>\
             <leerlingid>{leerling}</leerlingid><resultaten><resultaat key=\"R1\"><afnamedatum>2026-11-10</afnamedatum>\
             <toetscode>T1</toetscode><score>17</score></resultaat></resultaten></toetsafname></toetsafnames><toetsen><toets>\
             <toetscode vocabulaire=\"urn:x\">T1</toetscode><toetsnaam>Rekenen</toetsnaam></toets></toetsen>"
        );
        post(&home, &served, &request(&home, "leerresultaten_verzoek", &results));
    }
    let key = format!("<leerlingid>{NAME}");
    assert!(las.requests.lock().unwrap().last().unwrap().contains(&key), "the results have been brought");
    wait_until_clean(&served, 0);

    // The connection of a supplier may stay: of a pupil it has seen only what may leave.
    let mut stays = try_connect(&home, port, Some("noordzee")).unwrap();
    let length = ask.len();
    let head = format!(
        "POST /uwlr HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\r\n"
    );
    stays.write_all((head + &ask).as_bytes()).unwrap();
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(b"\r\n0\r\n\r\n") {
        let read = stays.read(&mut buffer).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..read]);
    }
    wait_until_clean(&served, 1);
}
