//! Service reports: kept on this computer for good, written for people as PDF and for programs as JSON.

mod pdf;

use std::{fs, path::Path};

use protocol::{ErrorCode, operator::Page};

use crate::{
    App, Error,
    command::{BenchReport, BenchReports, Handle},
    dto::{Done, Nothing, VisitReport, WriteReport},
    receipts::whereabouts,
    workspace::{make_folder, read_json, replace},
};

/// How many are listed.
const MOST: usize = 500;

impl Handle<BenchReports> for App {
    async fn handle(&self, _: Nothing) -> Result<Page<VisitReport>, Error> {
        Ok(Page { rows: self.reports()?, next: None })
    }
}

impl Handle<BenchReport> for App {
    async fn handle(&self, request: WriteReport) -> Result<Done, Error> {
        let report = self.reports()?.into_iter().find(|report| report.id == request.id);
        let report = report.ok_or_else(|| Error::new(ErrorCode::NotFound, "there is no such report"))?;
        let file = Path::new(&request.file);
        let bytes = match file.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("pdf") => pdf::write(&report),
            Some(_) | None => serde_json::to_vec_pretty(&report)
                .map_err(|source| Error::internal("failed to write a report", source))?,
        };
        replace(file, &bytes)?;
        Ok(Done {})
    }
}

impl App {
    /// The newest first.
    fn reports(&self) -> Result<Vec<VisitReport>, Error> {
        let bench = self.workspace().file("bench");
        let folder = bench.join("reports");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::file("read", &folder, &source)),
        };
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let mut reports = Vec::new();
        for file in files.iter().rev().take(MOST) {
            let report: VisitReport = read_json(file)?;
            let receipt = whereabouts(&bench, &report.id, report.ended_at);
            reports.push(VisitReport { receipt, ..report });
        }
        Ok(reports)
    }
}

/// Keeps a report below the bench's `folder`.
pub(crate) fn keep(folder: &Path, report: &VisitReport) -> Result<(), Error> {
    let folder = make_folder(&folder.join("reports"))?;
    let bytes =
        serde_json::to_vec(report).map_err(|source| Error::internal("failed to write a report", source))?;
    replace(&folder.join(format!("{:012}-{}.json", report.ended_at.as_secs(), report.id)), &bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use envelope::sha256;
    use model::{KemKeyId, SpkiDigest, UnixTime};

    use super::*;
    use crate::dto::ReceiptState;

    pub(crate) fn report(passed: bool) -> VisitReport {
        VisitReport {
            id: sha256(b"receipt"),
            fleet: model::FleetId::new([1; 16]),
            device: model::DeviceId::new([2; 16]),
            serial: "HX220-0447731".parse().unwrap(),
            model: "hx220".parse().unwrap(),
            component: "app".parse().unwrap(),
            place: "usb-1-4.2".into(),
            passed,
            code: (!passed).then(|| "rolled_back".into()),
            why: (!passed)
                .then(|| "the device went back to what it ran before: the new image did not stay up".into()),
            before: Some("2.4.0".parse().unwrap()),
            version: "2.4.1".parse().unwrap(),
            artifact: sha256(b"artifact"),
            security_counter: model::SecurityCounter(17),
            ticket: sha256(b"ticket"),
            rollout: model::RolloutId::new([3; 16]),
            mode: "deputy".into(),
            identity_proven: passed,
            transfers: 1,
            technician: "Aino Salo".parse().unwrap(),
            bench: KemKeyId::new([4; 8]),
            began_at: UnixTime::from_secs(1_795_400_000),
            ended_at: UnixTime::from_secs(1_795_400_034),
            signed_receipt: vec![7; 420].into(),
            signed_by: SpkiDigest::new([5; 32]),
            receipt: ReceiptState::Queued,
        }
    }

    #[tokio::test]
    async fn reports_are_listed_newest_first_and_written_as_paper_and_as_data() {
        let dir = tempfile::tempdir().unwrap();
        let app = App::open(dir.path()).unwrap();
        assert_eq!(app.run::<BenchReports>(Nothing {}).await.unwrap().rows, []);
        let older = report(true);
        let newer = VisitReport {
            id: sha256(b"another"),
            ended_at: older.ended_at + model::Seconds::minutes(1),
            ..report(false)
        };
        let bench = dir.path().join("bench");
        keep(&bench, &older).unwrap();
        keep(&bench, &newer).unwrap();
        let rows = app.run::<BenchReports>(Nothing {}).await.unwrap().rows;
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [newer.id, older.id]);
        assert!(rows.iter().all(|row| row.receipt == ReceiptState::HandedIn), "none waits in the queue");

        let file = |name: &str| dir.path().join(name).display().to_string();
        for name in ["report.pdf", "report.json"] {
            app.run::<BenchReport>(WriteReport { id: older.id, file: file(name) }).await.unwrap();
        }
        assert!(fs::read(file("report.pdf")).unwrap().starts_with(b"%PDF"));
        let read: VisitReport = read_json(Path::new(&file("report.json"))).unwrap();
        assert_eq!(VisitReport { receipt: ReceiptState::Queued, ..read }, older);
        let missing = WriteReport { id: sha256(b"no such"), file: file("none.pdf") };
        let refused = app.run::<BenchReport>(missing).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::NotFound);
    }
}
