//! A Kafka broker for tests: one node that is its own controller, from the jars that `tools/kafka/build` fetches. It ends
//! when the test does, however that ends: its standard input ends with it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use krafka::Kafka;
use krafka::admin::{CreateTopicsOptions, NewTopic};
use tempfile::TempDir;

use super::until;
use crate::golden::repository;
use crate::ports::Port;
use crate::serve::pki::Authority;

/// Who writes.
pub(crate) const USER: &str = "portcullis";
pub(crate) const PASSWORD: &str = "open-sesame-and-shut-again";

/// A broker. One may write to it as [`USER`] over SASL_SSL, and do everything without a name over plain text.
pub(crate) struct Broker {
    dir: TempDir,
    pub(crate) authority: Authority,
    /// SASL_SSL.
    pub(crate) outside: SocketAddr,
    /// Plain text.
    pub(crate) inside: SocketAddr,
    _ports: [Port; 3],
    process: Option<Process>,
}

/// A shell that ends the broker when its standard input ends.
struct Process {
    shell: Child,
    broker: String,
}

/// A message as a consumer gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) partition: String,
    pub(crate) headers: String,
    pub(crate) key: String,
    pub(crate) value: String,
}

impl Broker {
    /// Makes one, and starts it; clients are told to come by way of `advertised`, if there is another way.
    pub(crate) fn start(advertised: Option<SocketAddr>) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let authority = Authority::new("brokers");
        let pair = authority.issue(&["127.0.0.1"]);
        fs::write(dir.path().join("broker.pem"), pair.key + &pair.certificate).expect("written");
        let ports = [0; 3].map(|_| Port::reserve());
        let [controller, inside, outside] = ports.each_ref().map(Port::address);
        let mut broker = Self { dir, authority, outside, inside, _ports: ports, process: None };
        let advertised = advertised.unwrap_or(outside);
        let path = |name: &str| broker.path(name).display().to_string();
        let login = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let properties = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@{controller}\n\
             controller.listener.names=CONTROLLER\n\
             listeners=CONTROLLER://{controller},INSIDE://{inside},OUTSIDE://{outside}\n\
             advertised.listeners=INSIDE://{inside},OUTSIDE://{advertised}\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT,OUTSIDE:SASL_SSL\n\
             inter.broker.listener.name=INSIDE\n\
             sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256\n\
             listener.name.outside.scram-sha-512.sasl.jaas.config={login}\n\
             listener.name.outside.scram-sha-256.sasl.jaas.config={login}\n\
             ssl.keystore.type=PEM\n\
             ssl.keystore.location={}\n\
             authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:ANONYMOUS\n\
             auto.create.topics.enable=false\n\
             offsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=1\n\
             group.initial.rebalance.delay.ms=0\n\
             num.network.threads=1\n\
             num.io.threads=2\n\
             log.dirs={}\n",
            path("broker.pem"),
            path("log"),
        );
        fs::write(broker.path("server.properties"), properties).expect("written");
        let credential = |mechanism| format!("{mechanism}=[name={USER},password={PASSWORD}]");
        let formatted = broker
            .java("kafka.tools.StorageTool")
            .args(["format", "--cluster-id", "MkU3OEVBNTcwNTJENDM2Qk", "--config", &path("server.properties")])
            .args(["--add-scram", &credential("SCRAM-SHA-512"), "--add-scram", &credential("SCRAM-SHA-256")])
            .output()
            .expect("java runs");
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        broker.resume();
        broker
    }

    /// Starts it again after it was ended.
    pub(crate) fn resume(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("out")).expect("a file");
        let java = self.java("kafka.Kafka");
        let mut shell = Command::new("sh")
            .args(["-c", "\"$@\" >&2 & echo $!; cat; kill -9 $! 2>/dev/null", "sh"])
            .arg(java.get_program())
            .args(java.get_args())
            .arg(self.path("server.properties"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("a shell");
        let mut broker = String::new();
        BufReader::new(shell.stdout.take().expect("a pipe")).read_line(&mut broker).expect("a process id");
        self.process = Some(Process { shell, broker: broker.trim_end().to_owned() });
        for address in [self.outside, self.inside] {
            until("the broker", || {
                assert!(self.is_running(), "the broker ended: {}", self.log());
                TcpStream::connect(address).ok()
            });
        }
    }

    /// SIGTERM: it closes its logs.
    pub(crate) fn stop(&mut self) {
        self.end("-TERM");
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.end("-KILL");
    }

    fn end(&mut self, signal: &str) {
        let process = self.process.as_ref().expect("it runs");
        assert!(Command::new("kill").args([signal, &process.broker]).status().expect("kill").success());
        until("the end of the broker", || (!self.is_running()).then_some(()));
        self.process = None;
    }

    /// A process that has ended and that its shell has not noticed is no running one.
    fn is_running(&self) -> bool {
        let process = self.process.as_ref().expect("it was started");
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.broker)).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("out")).unwrap_or_default()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A topic of three partitions.
    pub(crate) async fn create(&self, topic: &str, setting: Option<(&str, &str)>) {
        let mut new = NewTopic::new(topic, 3, 1).expect("a topic");
        if let Some((key, value)) = setting {
            new = new.with_config(key, value);
        }
        let kafka = Kafka::builder(self.inside.to_string()).connect().await.expect("the broker");
        let created = kafka.admin().create_topics([new], CreateTopicsOptions::default()).await;
        created.expect("an answer").remove(topic).expect("a result").expect("created");
    }

    /// Lets [`USER`] write to a topic, and do nothing else.
    pub(crate) fn allow_write(&self, topic: &str) {
        let principal = format!("User:{USER}");
        let grant = ["--add", "--topic", topic, "--operation", "Write", "--allow-principal", &principal];
        self.tool("org.apache.kafka.tools.AclCommand", &grant);
    }

    /// Gives [`USER`] another password.
    pub(crate) fn change_password(&self, password: &str) {
        let credential = format!("SCRAM-SHA-512=[password={password}]");
        let change = ["--alter", "--entity-type", "users", "--entity-name", USER, "--add-config", &credential];
        self.tool("kafka.admin.ConfigCommand", &change);
    }

    /// Everything that is in a topic, as Kafka's own consumer reads it.
    pub(crate) fn read(&self, topic: &str) -> Vec<Message> {
        let ends = self.tool("org.apache.kafka.tools.GetOffsetShell", &["--topic", topic]);
        let end = |line: &str| line.rsplit_once(':').and_then(|(_, end)| end.parse::<u64>().ok());
        let count: u64 = ends.lines().map(|line| end(line).expect("a number")).sum();
        let count = count.to_string();
        let whole = ["--topic", topic, "--from-beginning", "--max-messages", &count];
        let shown = ["partition", "headers", "key"].map(|what| format!("print.{what}=true"));
        let shown = shown.iter().flat_map(|property| ["--formatter-property", property]);
        let arguments: Vec<&str> = whole.into_iter().chain(shown).collect();
        let text = self.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments);
        let messages = text.lines().filter(|line| line.starts_with("Partition:")).map(|line| {
            let mut fields = line.splitn(4, '\t').map(str::to_owned);
            let mut next = || fields.next().expect("a field");
            Message { partition: next(), headers: next(), key: next(), value: next() }
        });
        messages.collect()
    }

    /// Runs one of Kafka's own tools; returns what it prints.
    fn tool(&self, class: &str, arguments: &[&str]) -> String {
        let mut tool = self.java(class);
        tool.args(["--bootstrap-server", &self.inside.to_string()]).args(arguments);
        let output = tool.output().expect("java runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn java(&self, class: &str) -> Command {
        let mut java = Command::new("java");
        java.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        java.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
        java.arg("-cp").arg(jars().join("*")).arg(class);
        java.current_dir(self.dir.path());
        java
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the broker said:\n{}", self.log());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

fn jars() -> &'static Path {
    static JARS: OnceLock<PathBuf> = OnceLock::new();
    JARS.get_or_init(|| {
        let build = repository("tools/kafka/build");
        let output = Command::new(build).stderr(Stdio::inherit()).output().expect("tools/kafka/build runs");
        assert!(output.status.success(), "tools/kafka/build failed: {}", output.status);
        String::from_utf8(output.stdout).expect("a path").trim_end().into()
    })
}
