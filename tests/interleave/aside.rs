//! What becomes of a large transaction on a target that takes no care.

use super::{Act, World};
use tidegate::db::Batch;

impl World {
    /// What a careless target does: it commits the changes of a large transaction one by one, before its position.
    pub(super) fn piecemeal(&mut self, at: usize) -> Result<(), String> {
        let (token, Act::Apply(batch, _), _) = &self.sent[at] else {
            return Ok(());
        };
        let Some(txn) = batch.overflowed().filter(|_| self.setting.piecemeal) else {
            return Ok(());
        };
        let (token, upto) = (*token, self.target.applied());
        let after = upto;
        let pieces: Vec<_> = txn.pieces().map(|p| p.unwrap().to_vec()).collect();
        for net in pieces {
            let log = Vec::new();
            // A dead engine's writes are refused here as well.
            let net = net.into();
            let _ = self.target.apply(
                token,
                &Batch {
                    net,
                    log,
                    after,
                    upto,
                },
            );
            self.check()?;
        }
        Ok(())
    }
}
