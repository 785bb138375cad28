//! `kpidstat explore` over HTTP: whom it answers, what it answers, and what a visitor cannot do.

use pidstat_tests::tool;
use rusqlite::Connection;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

/// A server under way.
struct Server {
    child: Child,
    port: u16,
    /// The first directory of its address.
    key: String,
}

/// An answer.
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Server {
    fn start(database: &Path) -> Server {
        let mut child = tool::command(&["explore", "-p", "0", "--no-browser", "-d"])
            .arg(database)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://127.0.0.1:").nth(1).and_then(|rest| rest.split("/ until").next());
        let (port, key) = address.and_then(|address| address.split_once('/')).expect(&line);
        assert_eq!(key.len(), 32, "{line}");
        Server { child, port: port.parse().unwrap(), key: key.into() }
    }

    /// One request as it goes over the wire; `HOST` stands for the server's own name, `KEY` for its key.
    fn ask(&self, request: &str) -> Reply {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let request = request.replace("HOST", &format!("127.0.0.1:{}", self.port)).replace('\n', "\r\n");
        let request = request.replace("KEY", &self.key);
        write!(stream, "{request}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET /KEY{path} HTTP/1.1\nHost: HOST"))
    }

    fn sql(&self, sql: &str) -> Reply {
        let coded: String = sql.bytes().map(|byte| format!("%{byte:02x}")).collect();
        self.get(&format!("/rows?sql={coded}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

/// A tree of processes over a minute, with everything that the sixteen views need.
fn recording(path: &Path) {
    let database = Connection::open(path).unwrap();
    database
        .execute_batch(
            "CREATE TABLE record (record_id INTEGER PRIMARY KEY NOT NULL, ts REAL NOT NULL, cmdline TEXT,
                 fd_anon INTEGER, fd_dir INTEGER, fd_chr INTEGER, fd_blk INTEGER, fd_reg INTEGER, fd_fifo INTEGER,
                 fd_lnk INTEGER, fd_sock INTEGER, io_read_bytes INTEGER, io_write_bytes INTEGER,
                 smaps_rollup_pss INTEGER, smaps_rollup_private_clean INTEGER, smaps_rollup_private_dirty INTEGER,
                 smaps_rollup_swap INTEGER, stat_pid INTEGER, stat_comm TEXT, stat_ppid INTEGER, stat_priority INTEGER,
                 stat_utime INTEGER, stat_stime INTEGER, stat_starttime INTEGER, stat_rss INTEGER,
                 stat_delayacct_blkio_ticks INTEGER);
             CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL);
             INSERT INTO meta VALUES ('page_size', '4096'), ('clock_ticks', '100'), ('platform_node', 'host');
             WITH RECURSIVE second(s) AS (SELECT 0 UNION ALL SELECT s + 1 FROM second WHERE s < 59),
                 pid(p) AS (SELECT 1 UNION ALL SELECT p + 1 FROM pid WHERE p < 9)
             INSERT INTO record SELECT NULL, 1795262400 + s, '/bin/worker </title><script>evil()</script> ' || p,
                 1, 0, 3, 0, s, 0, 0, p, s * p * 1000, s * 500, 100 * p, p, p, 0, p, '<b>worker-' || p % 3, p / 2, 20,
                 s * p, s, p, 1000 * p + s, s FROM second, pid;
             -- A ring of parents and a process that is its own: only a forged file has them.
             UPDATE record SET stat_ppid = 9 WHERE stat_pid = 4;
             UPDATE record SET stat_ppid = 7 WHERE stat_pid = 7;",
        )
        .unwrap();
}

#[test]
fn all_views_are_drawn_and_the_page_needs_nothing_from_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.sqlite");
    recording(&path);
    let server = Server::start(&path);
    let page = server.get("/");
    assert!(page.status == 200 && page.head.contains("content-type: text/html"), "{}", page.head);
    for name in ["/page.css", "/page.js", "/plot.css", "/plot.js"] {
        let file = server.get(name);
        assert!(file.status == 200 && file.head.contains("x-content-type-options: nosniff"), "{name}");
        let outside = file.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("http://") && !outside.contains("https://"), "{name}");
    }
    assert!(!page.body.contains("://") && page.body.matches("<script").count() == 1, "{}", page.body);
    let about: serde_json::Value = serde_json::from_str(&server.get("/views").body).unwrap();
    assert_eq!((&about["samples"], &about["processes"]), (&60.into(), &9.into()));
    let views = about["views"].as_array().unwrap();
    // Procpath's sixteen; ours want what only our recorder writes, and say so.
    let (there, missing): (Vec<_>, Vec<_>) = views.iter().partition(|view| view["there"] == true);
    assert_eq!((there.len(), missing.len()), (16, 8));
    assert!(server.get("/plot.svg?view=rxbs").body.contains("requires what kpidstat record writes"));
    for view in there {
        let (id, title) = (view["id"].as_str().unwrap(), view["title"].as_str().unwrap());
        let picture = server.get(&format!("/plot.svg?view={id}"));
        assert!(picture.status == 200 && picture.head.contains("image/svg+xml"), "{id}: {}", picture.body);
        assert!(picture.body.contains(title) && !picture.body.contains("No data"), "{id}: {}", picture.body);
        assert!(!picture.body.contains("<script>evil") && !picture.body.contains("<b>worker"), "{id}");
        let rows: serde_json::Value =
            serde_json::from_str(&server.sql(view["sql"].as_str().unwrap()).body).unwrap();
        assert!(!rows["rows"].as_array().unwrap().is_empty(), "{id}");
        // Saved, it stands alone.
        let whole = server.get(&format!("/plot.svg?view={id}&whole=1")).body;
        assert!(whole.starts_with("<svg ") && whole.contains("<style>"), "{id}");
    }
    let tree = server.get("/plot.svg?view=forest").body;
    assert_eq!(tree.matches("class=\"strip\"").count(), 9, "each process once, whatever its parents are");
    let chosen =
        server.get("/plot.svg?view=cpu&pids=3,4&window=5&epsilon=0.1&after=2026-11-21T12:00:10&log=1").body;
    assert!(chosen.contains("2 processes · times in UTC · mean of 5 points · simplified by 0.1"), "{chosen}");
}

#[test]
fn only_this_machine_and_this_page_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.sqlite");
    recording(&path);
    for address in ["0.0.0.0", "::", "192.0.2.1", "example.org"] {
        let output = tool::run(&["explore", "--no-browser", "-b", address, "-d", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{address}");
    }
    let server = Server::start(&path);
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X}", server.port);
    let listening: Vec<&str> = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .filter(|local| local.ends_with(&port))
        .collect();
    assert!(
        !listening.is_empty() && listening.iter().all(|local| local.starts_with("0100007F")),
        "{listening:?}"
    );
    for (request, status) in [
        ("GET /KEY/views HTTP/1.1\nHost: evil.example", 403),
        ("GET /KEY/views HTTP/1.1\nHost: 127.0.0.1", 403),
        ("GET /KEY/views HTTP/1.1\nHost: HOST\nOrigin: http://evil.example", 403),
        ("GET /KEY/views HTTP/1.1\nHost: HOST\nSec-Fetch-Site: cross-site", 403),
        ("GET /KEY/views HTTP/1.1\nHost: HOST\nSec-Fetch-Site: same-origin\nOrigin: http://HOST", 200),
        // Whoever was not told the key, gets as little as whoever guesses one.
        ("GET / HTTP/1.1\nHost: HOST", 403),
        ("GET /views HTTP/1.1\nHost: HOST", 403),
        ("GET /KEY HTTP/1.1\nHost: HOST", 403),
        ("GET /00000000000000000000000000000000/views HTTP/1.1\nHost: HOST", 403),
        ("GET /views?key=KEY HTTP/1.1\nHost: HOST", 403),
        ("POST /KEY/rows HTTP/1.1\nHost: HOST\nContent-Length: 0", 405),
        ("DELETE /KEY/views HTTP/1.1\nHost: HOST", 405),
        ("GET /KEY/../../../../etc/passwd HTTP/1.1\nHost: HOST", 404),
        ("GET /KEY/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\nHost: HOST", 404),
        ("GET /KEY/x.sqlite HTTP/1.1\nHost: HOST", 404),
        ("GET //etc/passwd HTTP/1.1\nHost: HOST", 403),
        ("GET /KEY/plot.svg?view=../x HTTP/1.1\nHost: HOST", 400),
        ("GET /KEY/plot.svg HTTP/1.1\nHost: HOST", 400),
        ("GET /KEY/plot.svg?view=cpu&window=0 HTTP/1.1\nHost: HOST", 400),
    ] {
        let reply = server.ask(request);
        assert_eq!(reply.status, status, "{request}: {}", reply.body);
        assert!(
            reply.head.contains("content-security-policy: default-src 'none'"),
            "{request}: {}",
            reply.head
        );
        assert!(!reply.body.contains("root:") && !reply.head.contains("access-control"), "{request}");
    }
}

/// What a browser is given as its argument, every user of the machine reads in /proc.
#[test]
fn the_browser_is_led_to_the_page_without_the_key_among_its_arguments() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.sqlite");
    recording(&path);
    let browser = dir.path().join("xdg-open");
    fs::write(&browser, "#!/bin/sh\ncp -p \"$1\" copy\necho \"$@\" > arguments\n").unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    let search = format!("{}:/usr/bin:/bin", dir.path().display());
    let mut child = tool::command(&["explore", "-p", "0", "-d", "x.sqlite"])
        .envs([
            ("PATH", search.as_str()),
            ("DISPLAY", ":99"),
            ("XDG_RUNTIME_DIR", dir.path().to_str().unwrap()),
        ])
        .current_dir(dir.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let address =
        line.split(" is at ").nth(1).and_then(|rest| rest.split(' ').next()).expect(&line).to_owned();
    let arguments = loop {
        match fs::read_to_string(dir.path().join("arguments")) {
            Ok(text) if text.ends_with('\n') => break text,
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let key = address.trim_end_matches('/').rsplit('/').next().unwrap();
    assert!(key.len() == 32 && !arguments.contains(key), "{arguments}");
    let page = fs::read_to_string(dir.path().join("copy")).unwrap();
    assert!(page.contains(&format!("url={address}\"")), "{page}");
    let mode = fs::metadata(dir.path().join("copy")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // SAFETY: the child has not been waited for, so the id is still its own.
    assert_eq!(unsafe { libc::kill(i32::try_from(child.id()).unwrap(), libc::SIGTERM) }, 0);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!Path::new(arguments.trim()).exists(), "it goes with the run");
}

#[test]
fn sql_reads_this_recording_and_does_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.sqlite");
    recording(&path);
    let before = fs::read(&path).unwrap();
    let server = Server::start(&path);
    let fine =
        server.sql("SELECT count(*) AS n, NULL AS none_, 9007199254740993 AS big, x'00' AS blob FROM record");
    assert!(fine.body.contains(r#""rows":[[540,null,"9007199254740993","(1 bytes)"]]"#), "{}", fine.body);
    for (sql, words) in [
        ("DELETE FROM record", "may only use this database"),
        ("ATTACH '/etc/passwd' AS p", "may only use this database"),
        ("SELECT load_extension('/tmp/x')", "load_extension"),
        ("PRAGMA journal_mode = delete", "may only use this database"),
        ("VACUUM INTO '/tmp/kpidstat-never'", "may only use this database"),
        ("SELEC 1", "syntax error"),
        ("SELECT zeroblob(1000000000)", "too big"),
    ] {
        let reply = server.sql(sql);
        assert!(reply.status == 400 && reply.body.contains(words), "{sql}: {}", reply.body);
    }
    let many = server.sql("WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT x FROM r");
    let rows: serde_json::Value = serde_json::from_str(&many.body).unwrap();
    assert_eq!((rows["rows"].as_array().unwrap().len(), &rows["more"]), (5000, &true.into()));
    let hungry = server.sql("WITH RECURSIVE r(x) AS (SELECT zeroblob(9000000) UNION ALL SELECT x FROM r) SELECT count(*) FROM (SELECT x FROM r ORDER BY x)");
    assert!(hungry.status == 400 && hungry.body.contains("memory"), "{}", hungry.body);
    // It still answers, and nothing was written.
    assert_eq!(server.get("/views").status, 200);
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn it_ends_well_when_interrupted_and_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.sqlite");
    recording(&path);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let mut server = Server::start(&path);
        assert_eq!(server.get("/views").status, 200);
        // SAFETY: the child has not been waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(i32::try_from(server.child.id()).unwrap(), signal) }, 0);
        assert_eq!(server.child.wait().unwrap().code(), Some(0));
    }
    let server = Server::start(&path);
    let taken = server.port.to_string();
    let output = tool::run(&["explore", "--no-browser", "-p", &taken, "-d", path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("choose another port with -p"), "{said}");
    let output = tool::run(&["explore", "--no-browser", "-d", "/nowhere/x.sqlite"]);
    assert!(output.status.code() == Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}
