//! P15: how much of a paced line an upload uses, and how fast mcumgrctl is on the same board, where its
//! path is given.
#![expect(clippy::print_stdout, reason = "it reports what it measured")]

use std::{
    error::Error,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use bench::{
    Image, SerialPort,
    smp::{Cancel, Client, Destination},
};
use envelope::{Ed25519Key, Signer as _};
use protocol::smp::Framing;
use sim::board::{Attached, Board, Buffers, Firmware, FlashTiming, Profile, Wire, attach_pty};

/// The bytes of the program that is sent at 115,200 baud; ten times as many at a million.
const PROGRAM: usize = 30_000;
/// The least around the data of a piece, header and CBOR, and the answer to it, as messages.
const AROUND: usize = 8 + 18;
const ANSWER: usize = 8 + 12;
/// How many pieces may be under way at a device with four buffers.
const WINDOW: f64 = 3.0;
/// How long a board may take to boot, and how often it is asked meanwhile.
const BOOT: Duration = Duration::from_secs(10);
const KNOCK: Duration = Duration::from_millis(200);

fn main() -> Result<(), Box<dyn Error>> {
    let other = std::env::args().nth(1);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("update.bin");
    println!("  baud  turnaround  buffer      B/s  of the bound   mcumgrctl B/s  times as fast  at most");
    let (mut least, mut slowest) = (f64::INFINITY, f64::INFINITY);
    for baud in [115_200, 1_000_000] {
        let image = image((1, 1, 0), if baud > 500_000 { 10 * PROGRAM } else { PROGRAM })?;
        std::fs::write(&file, image.as_bytes())?;
        for turnaround in [0, 5, 20] {
            for bytes in [384, 1024, 2048] {
                let wire = Wire {
                    baud: Some(baud),
                    turnaround: Duration::from_millis(turnaround),
                    ..Wire::default()
                };
                let length = image.as_bytes().len() as f64;
                let ours = length / ours(&board(bytes, wire)?, baud, &image)?.as_secs_f64();
                let share = ours / bound(wire, bytes, WINDOW);
                least = least.min(share);
                print!("{baud:>7}  {turnaround:>7} ms  {bytes:>6}  {ours:>7.0}  {:>11.1} %", share * 100.0);
                if let Some(program) = &other {
                    let took = theirs(Path::new(program), &board(bytes, wire)?, baud, &file)?;
                    let theirs = length / took.as_secs_f64();
                    slowest = slowest.min(ours / theirs);
                    // What one at a time, perfectly done, leaves to be gained.
                    let most = bound(wire, bytes, WINDOW) / bound(wire, bytes, 1.0);
                    print!("  {theirs:>14.0}  {:>13.2}  {most:>7.2}", ours / theirs);
                }
                println!();
            }
        }
    }
    println!("P15: the least share of the bound is {:.1} % (goal: 93 %)", least * 100.0);
    if other.is_some() {
        println!("P15: the least ratio to mcumgrctl is {slowest:.2} (goal: above 1)");
    }
    Ok(())
}

/// A board that costs no time itself.
fn board(bytes: usize, wire: Wire) -> Result<Attached, Box<dyn Error>> {
    let profile = Profile {
        buffers: Buffers { bytes, count: 4 },
        flash: FlashTiming { erase: Duration::ZERO, write: Duration::ZERO },
        answer: Duration::ZERO,
        slot_sectors: 96,
        ..Profile::zephyr("B-1", key().public_key())
    };
    let attached = attach_pty(Board::new(profile, image((1, 0, 0), 5_000)?.as_bytes()), wire)?;
    // It boots, and talks meanwhile.
    let mut client = client(&attached, wire.baud.unwrap_or(u32::MAX))?;
    let until = Instant::now() + BOOT;
    while let Err(error) = client.knock(KNOCK) {
        if Instant::now() > until {
            return Err(error.into());
        }
    }
    Ok(attached)
}

fn client(board: &Attached, baud: u32) -> Result<Client, Box<dyn Error>> {
    let port = SerialPort::open(board.address(), baud)?;
    Ok(Client::new(Box::new(port), Framing::Console, Cancel::new()))
}

fn ours(board: &Attached, baud: u32, image: &Image) -> Result<Duration, Box<dyn Error>> {
    let mut client = client(board, baud)?;
    let parameters = client.parameters()?;
    client.erase()?;
    let destination = Destination::Image { image: 0, sha256: envelope::sha256(image.as_bytes()) };
    let start = Instant::now();
    client.upload(destination, image.as_bytes(), &parameters, &mut |_| {})?;
    Ok(start.elapsed())
}

/// Without what the program needs to start and to ask for the state.
fn theirs(program: &Path, board: &Attached, baud: u32, file: &Path) -> Result<Duration, Box<dyn Error>> {
    let run = |arguments: &[&str]| -> Result<Duration, Box<dyn Error>> {
        let mut command = Command::new(program);
        command.args(["--serial", board.address(), "--baud", &baud.to_string(), "--quiet"]).args(arguments);
        let start = Instant::now();
        let output = command.output()?;
        if output.status.success() {
            Ok(start.elapsed())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into())
        }
    };
    let around = run(&["image", "get-state"])?;
    let file = file.to_str().ok_or("the path is no text")?;
    Ok(run(&["image", "upload", file])?.saturating_sub(around))
}

/// The most bytes a second with so many pieces under way.
fn bound(wire: Wire, bytes: usize, window: f64) -> f64 {
    let byte = 10.0 / f64::from(wire.baud.unwrap_or(u32::MAX));
    let on_wire = |message: usize| Framing::Console.wire_bytes(message) as f64 * byte;
    let data = bytes - 4 - AROUND;
    let piece = on_wire(data + AROUND);
    let round = piece + on_wire(ANSWER) + wire.turnaround.as_secs_f64();
    data as f64 / piece.max(round / window)
}

fn image(version: (u8, u8, u16), bytes: usize) -> Result<Image, Box<dyn Error>> {
    Ok(Image::new(Firmware::new(version, version.1.into(), bytes).sign(&key())?, &[])?)
}

fn key() -> Ed25519Key {
    Ed25519Key::from_seed(&[7; 32])
}
