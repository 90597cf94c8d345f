//! The bench on a real line, for judges that drive it against servers of others, and a simulated board
//! for clients of others.
#![expect(clippy::print_stdout, reason = "a judge reads what this prints")]

use std::{
    error::Error,
    io::{self, Read as _},
    time::{Duration, Instant},
};

use bench::{
    Driver as _, Image, Locator as _, Mode, Port, SerialLocator, SerialPort, SmpDriver, Visit,
    smp::{BootMode, Cancel, Client, Destination},
    visit::{FileJournal, Notice, Record},
};
use envelope::{Ed25519Key, Signer as _};
use protocol::smp::Framing;
use sim::board::{Board, Firmware, Profile, Wire, attach_pty};

const BAUD: u32 = 1_000_000;
/// The speed of the lines to others' servers.
const PACE: u32 = 115_200;
/// How long a device answers yet after it was reset, how long it may take to boot, and how often it is asked.
const RESET: Duration = Duration::from_millis(800);
const BOOT: Duration = Duration::from_secs(60);
const KNOCK: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["probe", port] => probe(&mut client(port, Framing::Console)?),
        ["probe-raw", port] => probe(&mut client(port, Framing::Raw)?),
        ["file", port, remote, local] => file(&mut client(port, Framing::Console)?, remote, local),
        ["setting", port, name, value] => setting(&mut client(port, Framing::Console)?, name, value),
        ["update", port, image] => update(port, image),
        ["recover", port, image] => recover(port, image, Framing::Console),
        ["recover-raw", port, image] => recover(port, image, Framing::Raw),
        ["board", folder] => board(folder),
        _ => Err("bench_smp probe|probe-raw PORT, file PORT REMOTE LOCAL, setting PORT NAME VALUE, update|recover|recover-raw PORT IMAGE, board FOLDER".into()),
    }
}

fn client(port: &str, framing: Framing) -> Result<Client, Box<dyn Error>> {
    let paced = Paced { inner: SerialPort::open(port, PACE)?, free_at: Duration::ZERO };
    Ok(Client::new(Box::new(paced), framing, Cancel::new()))
}

/// A pseudo terminal has no speed, and servers behind one lose what comes faster than any line.
struct Paced {
    inner: SerialPort,
    free_at: Duration,
}

impl Port for Paced {
    fn read(&mut self, buffer: &mut [u8], patience: Duration) -> io::Result<usize> {
        self.inner.read(buffer, patience)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(16) {
            std::thread::sleep(self.free_at.saturating_sub(self.inner.now()));
            self.inner.write_all(part)?;
            let took = Duration::from_secs_f64(part.len() as f64 * 10.0 / f64::from(PACE));
            self.free_at = self.free_at.max(self.inner.now()) + took;
        }
        Ok(())
    }

    fn discard_input(&mut self) -> io::Result<()> {
        self.inner.discard_input()
    }

    fn now(&self) -> Duration {
        self.inner.now()
    }

    fn baud(&self) -> Option<u32> {
        self.inner.baud()
    }
}

fn probe(client: &mut Client) -> Result<(), Box<dyn Error>> {
    client.echo("fleetseal")?;
    let parameters = client.parameters()?;
    println!("buffer_bytes={} buffers={}", parameters.buffer_bytes, parameters.buffers);
    println!("groups={:?}", client.groups()?);
    Ok(())
}

fn file(client: &mut Client, remote: &str, local: &str) -> Result<(), Box<dyn Error>> {
    let content = std::fs::read(local)?;
    let parameters = client.parameters()?;
    let start = Instant::now();
    let destination = Destination::File { path: remote.to_owned() };
    client.upload(destination, &content, &parameters, &mut |_| {})?;
    println!("bytes_per_second={:.0}", content.len() as f64 / start.elapsed().as_secs_f64());
    let hash = client.file_hash(remote)?;
    if (hash.bytes, hash.sha256) != (content.len() as u64, envelope::sha256(&content)) {
        return Err("the device's hash is another".into());
    }
    if client.download(remote, content.len())? != content {
        return Err("what came back is another file".into());
    }
    println!("uploaded={}", content.len());
    Ok(())
}

fn setting(client: &mut Client, name: &str, value: &str) -> Result<(), Box<dyn Error>> {
    client.set_setting(name, value.as_bytes())?;
    println!("setting={}", String::from_utf8_lossy(&client.setting(name)?));
    Ok(())
}

fn update(port: &str, image: &str) -> Result<(), Box<dyn Error>> {
    let image = Image::new(std::fs::read(image)?, &[])?;
    let folder = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
    let mut journal = FileJournal::new(&folder)?;
    let visit = Visit {
        image: &image,
        framing: Framing::Console,
        may_recover: true,
        trial: Duration::from_secs(2),
        patience: Duration::from_secs(30),
        cancel: Cancel::new(),
    };
    let record = Record::new(bench::Place::new(port), None, image.hash());
    let mut locator = SerialLocator::new(BAUD).with(port);
    let done = visit.run(record, &mut locator, &mut journal, &mut |notice| {
        if let Notice::Step(step) = notice {
            println!("step={step:?}");
        }
    })?;
    std::fs::remove_dir_all(&folder)?;
    println!("verdict={:?}", done.step);
    Ok(())
}

/// From the application into MCUboot's recovery, an upload there, and out of it again.
fn recover(port: &str, image: &str, framing: Framing) -> Result<(), Box<dyn Error>> {
    let image = Image::new(std::fs::read(image)?, &[])?;
    let mut locator = SerialLocator::new(BAUD).with(port);
    let sighting = locator.devices()?.into_iter().find(|device| device.port == port).ok_or("no such port")?;
    let mut driver = SmpDriver::new(locator.open(&sighting)?, framing, Cancel::new());
    awake(&mut driver)?;
    println!("mode={:?}", driver.inventory()?.mode);
    driver.client().reset(BootMode::Recovery)?;
    awake(&mut driver)?;
    let inventory = driver.inventory()?;
    let parameters = driver.client().parameters()?;
    println!("mode={:?} buffers={}x{}", inventory.mode, parameters.buffers, parameters.buffer_bytes);
    let start = Instant::now();
    driver.transfer(&image, &mut |_| {})?;
    println!("bytes_per_second={:.0}", image.as_bytes().len() as f64 / start.elapsed().as_secs_f64());
    let there =
        driver.inventory()?.slots.iter().any(|slot| slot.slot == 0 && slot.hash == Some(image.hash()));
    println!("transferred={there}");
    driver.reboot()?;
    awake(&mut driver)?;
    let inventory = driver.inventory()?;
    let runs = inventory.slots.iter().any(|slot| slot.active && slot.hash == Some(image.hash()));
    println!("runs={}", runs && inventory.mode == Mode::Application);
    Ok(())
}

/// Waits until somebody answers, past what the bootloader says.
fn awake(driver: &mut SmpDriver) -> Result<(), Box<dyn Error>> {
    let until = Instant::now() + BOOT;
    driver.client().drain(RESET)?;
    while let Err(error) = driver.knock(KNOCK) {
        if Instant::now() > until {
            return Err(error.into());
        }
    }
    Ok(())
}

/// A board on a pseudo terminal until standard input ends; in the folder, an update for it and its key.
fn board(folder: &str) -> Result<(), Box<dyn Error>> {
    let folder = std::path::Path::new(folder);
    let key = Ed25519Key::from_seed(&[7; 32]);
    let factory = Firmware::new((1, 0, 0), 1, 30_000).sign(&key)?;
    std::fs::write(folder.join("factory.bin"), &factory)?;
    std::fs::write(folder.join("update.bin"), Firmware::new((1, 1, 0), 2, 40_000).sign(&key)?)?;
    std::fs::write(folder.join("key.der"), key.public_key().spki())?;
    let board = Board::new(Profile::zephyr("B-1", key.public_key()), &factory);
    let attached = attach_pty(board, Wire::default())?;
    println!("port={}", attached.address());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let running = attached.board().running();
    println!(
        "running={}",
        running.map_or_else(String::new, |running| format!("{} {}", running.version, running.confirmed))
    );
    Ok(())
}
