use std::fs;

use super::*;

fn job(n: u8) -> JobId {
    JobId::new([n; 16])
}

#[tokio::test]
async fn bytes_come_back_by_their_digest_and_are_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(folder.path(), None).unwrap();
    let bytes = Bytes::from(vec![7; 200_000]);
    let digest = blobs.put(bytes.clone()).await.unwrap();
    assert_eq!(blobs.put(bytes.clone()).await.unwrap(), digest);
    assert_eq!(blobs.used_bytes(), 200_000);

    let again = Blobs::open(folder.path(), None).unwrap();
    assert_eq!(again.used_bytes(), 200_000);
    let blob = again.get(digest).await.unwrap().unwrap();
    let chunks: Vec<Bytes> = blob.chunks(10..u64::MAX).collect();
    assert!(chunks.iter().all(|chunk| chunk.len() as u64 <= Blob::CHUNK_BYTES));
    assert_eq!(chunks.concat(), bytes[10..]);
    assert_eq!(blob.slice(199_999..200_001), None);
    assert!(again.remove(digest).await.unwrap());
    assert!(again.get(digest).await.unwrap().is_none());
    assert_eq!(blob.slice(0..3).unwrap(), bytes[..3], "whoever holds it keeps it");
    assert_eq!(again.used_bytes(), 0);
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = Bytes::from((0..100_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    let digest = crate::digest::sha256(&bytes);
    let blobs = Blobs::open(folder.path(), None).unwrap();
    assert_eq!(blobs.append(job(1), 0, bytes.slice(..1_000)).await.unwrap(), 1_000);
    drop(blobs);

    let blobs = Blobs::open(folder.path(), None).unwrap();
    assert_eq!(blobs.upload_offset(job(1)).await.unwrap(), 1_000);
    let wrong = blobs.append(job(1), 0, bytes.clone()).await;
    assert!(matches!(wrong, Err(Error::WrongOffset { offset: 1_000 })));
    blobs.append(job(1), 1_000, bytes.slice(1_000..)).await.unwrap();
    assert_eq!(blobs.finish(job(1), digest).await.unwrap(), 400_000);
    assert_eq!(Bytes::from(blobs.get(digest).await.unwrap().unwrap()), bytes);
    assert!(matches!(blobs.finish(job(1), digest).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn an_upload_of_other_bytes_never_gets_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(folder.path(), None).unwrap();
    blobs.append(job(1), 0, Bytes::from_static(b"evil")).await.unwrap();
    let good = crate::digest::sha256(b"good");
    assert!(matches!(blobs.finish(job(1), good).await, Err(Error::WrongDigest)));
    assert!(blobs.get(good).await.unwrap().is_none());
    assert_eq!((blobs.upload_offset(job(1)).await.unwrap(), blobs.used_bytes()), (0, 0));
}

#[tokio::test]
async fn a_full_quota_refuses_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(folder.path(), Some(1_000)).unwrap();
    blobs.append(job(1), 0, Bytes::from(vec![1; 600])).await.unwrap();
    assert!(matches!(blobs.append(job(1), 600, Bytes::from(vec![1; 600])).await, Err(Error::Full)));
    assert!(matches!(blobs.put(Bytes::from(vec![2; 600])).await, Err(Error::Full)));
    assert_eq!(blobs.upload_offset(job(1)).await.unwrap(), 600);
    blobs.append(job(1), 600, Bytes::from(vec![1; 400])).await.unwrap();
    let digest = crate::digest::sha256(&[1; 1_000]);
    assert_eq!(blobs.finish(job(1), digest).await.unwrap(), 1_000);
    assert!(blobs.get(digest).await.unwrap().is_some());
}

#[tokio::test]
async fn uploads_that_nobody_goes_on_with_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(folder.path(), None).unwrap();
    blobs.append(job(1), 0, Bytes::from_static(b"left")).await.unwrap();
    assert_eq!(blobs.abandon_before(UnixTime::EPOCH).await.unwrap(), 0);
    assert_eq!(blobs.abandon_before(UnixTime::MAX).await.unwrap(), 1);
    assert_eq!(blobs.used_bytes(), 0);
}

#[tokio::test]
async fn what_a_crash_left_half_written_is_cleared_away() {
    let folder = tempfile::tempdir().unwrap();
    drop(Blobs::open(folder.path(), None).unwrap());
    fs::write(folder.path().join("uploads/0.tmp"), b"half").unwrap();
    let blobs = Blobs::open(folder.path(), None).unwrap();
    assert_eq!(blobs.used_bytes(), 0);
    assert!(!folder.path().join("uploads/0.tmp").exists());
}

#[tokio::test]
async fn a_stored_file_cannot_be_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(folder.path(), None).unwrap();
    let digest = blobs.put(Bytes::from_static(b"for good")).await.unwrap().to_string();
    let path = folder.path().join(&digest[..2]).join(&digest[2..]);
    assert!(fs::metadata(path).unwrap().permissions().readonly());
}
