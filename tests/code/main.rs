//! Code states: what is captured of every state a repository can be in, and what it costs.

#[cfg(test)]
mod accidents;
#[cfg(test)]
mod alone;
#[cfg(test)]
mod captures;
#[cfg(test)]
mod clones;
#[cfg(test)]
mod costs;
#[cfg(test)]
mod disks;
#[cfg(test)]
mod filters;
#[cfg(test)]
mod forge;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod large;
#[cfg(test)]
mod locks;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod look;
#[cfg(test)]
mod losses;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod meanwhile;
#[cfg(test)]
mod observer;
#[cfg(test)]
mod quiet;
#[cfg(test)]
mod records;
#[cfg(test)]
mod sizes;
#[cfg(test)]
mod specials;
#[cfg(test)]
mod states;
#[cfg(test)]
mod strays;
#[cfg(test)]
mod together;
#[cfg(test)]
mod trip;
