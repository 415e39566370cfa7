//! Reading the audit trail, which is itself on record.

use billfold_core::{
    Millis,
    event::v1::Operation,
    id::{RecordId, Seq},
};
use billfold_projector::audit::{By, Query, Row};

use super::{At, Caller, Error, Wallet};

/// One event of the audit trail.
#[derive(Debug)]
pub struct AuditRow {
    /// What happened.
    pub row: Row,
    /// The record that it is about.
    pub record: Option<RecordId>,
    /// That record's path, as far as it is not erased.
    pub name: Option<String>,
}

impl Wallet {
    /// What happened in a span of time, to one record or to all; at most `limit` events, behind the
    /// last one of the page before.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn audit(
        &self,
        caller: &Caller,
        record: Option<RecordId>,
        span: std::ops::Range<Millis>,
        after: Option<(Seq, u16)>,
        limit: usize,
    ) -> Result<At<Vec<AuditRow>>, Error> {
        let asked = self.look_at(caller, Operation::ReadAudit, record).await?;
        let by = record.map_or(By::All, By::Record);
        self.index_at(asked.value).await?;
        let found = self.audit.find(&Query {
            by,
            from: span.start,
            to: span.end,
            after,
            limit,
        })?;
        let mut rows = Vec::with_capacity(found.len());
        for row in found {
            let record = row.fact.event.record();
            let name = match record {
                Some(id) => match self.keychain.view().stored_record(&id)? {
                    Some(stored) => self.names_of(id, &stored).await?.map(|names| names.path),
                    None => None,
                },
                None => None,
            };
            rows.push(AuditRow { row, record, name });
        }
        Ok(At {
            seq: asked.seq,
            value: rows,
        })
    }

    /// Waits for the audit index, which follows the log by itself: an answer is about all up to the
    /// place of its own record.
    pub(super) async fn index_at(&self, recorded: Seq) -> Result<(), Error> {
        tokio::time::timeout(self.patience, self.audit.read_up_to(recorded))
            .await
            .map_err(|_| Error::Unavailable("the audit index is behind the log".to_owned()))
    }
}
