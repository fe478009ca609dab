//! When a project is committed in by itself: after a save that nobody asked for, once nobody works there.

use super::{Effect, Engine, ProjectKey, SaveEnd, StoreKey, Watched};

impl Engine {
    /// Notes that projects have something new. What the user saved by hand is as the user wants it.
    pub(super) fn commit_after(&mut self, store: StoreKey, end: &SaveEnd, now_ms: i64) {
        if !self.timing.commits {
            return;
        }
        for (session, _) in &end.covered {
            let Some(track) = self.sessions.get(&(store, session.clone())) else { continue };
            if let Some(watched) = self.projects.get_mut(&track.project) {
                watched.commit_at_ms = (!end.by_hand).then_some(now_ms);
            }
        }
    }

    /// Takes in how it ended. What was saved meanwhile is committed next.
    pub(super) fn note_committed(
        &mut self,
        project: ProjectKey,
        again_ms: Option<i64>,
        now_ms: i64,
    ) {
        let Some(watched) = self.projects.get_mut(&project) else { return };
        watched.committing = false;
        let again_at_ms = again_ms.map(|again_ms| now_ms + again_ms);
        watched.commit_at_ms = watched.commit_at_ms.or(again_at_ms);
    }

    pub(super) fn commits(&mut self, now_ms: i64) -> Vec<Effect> {
        let due = |(key, watched): (&ProjectKey, &Watched)| {
            self.commit_ms(*key, watched).filter(|at_ms| *at_ms <= now_ms).map(|_| *key)
        };
        let due: Vec<ProjectKey> = self.projects.iter().filter_map(due).collect();
        for key in &due {
            if let Some(watched) = self.projects.get_mut(key) {
                (watched.commit_at_ms, watched.committing) = (None, true);
            }
        }
        due.into_iter().map(Effect::Commit).collect()
    }

    /// When the next project is committed in.
    pub(super) fn commit_due_at_ms(&self) -> Option<i64> {
        self.projects.iter().filter_map(|(key, watched)| self.commit_ms(*key, watched)).min()
    }

    /// When a project is committed in; `None` while somebody works there: the end of that is an event.
    fn commit_ms(&self, key: ProjectKey, watched: &Watched) -> Option<i64> {
        let due_ms = watched.commit_at_ms.filter(|_| !watched.committing)?;
        let own = self.sessions.values().filter(|track| track.project == key);
        own.map(|track| track.at_rest_ms(&self.timing))
            .try_fold(due_ms, |latest, at_ms| Some(latest.max(at_ms?)))
    }
}
