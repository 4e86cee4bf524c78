package import Ext2

/// One step of a workload that is crashed: what it does, how a script for `blkdev-run fs IMAGE -` says it, and what it has
/// made durable when it returns.
package struct CrashStep: Sendable {
  /// The line of the script.
  package let line: String
  package let persistence: [Persistence]
  package let run: @Sendable (Volume) async throws -> Void

  package init(
    _ line: String, _ persistence: Persistence..., run: @escaping @Sendable (Volume) async throws -> Void
  ) {
    self.init(line, persistence, run: run)
  }
  package init(
    _ line: String, _ persistence: [Persistence], run: @escaping @Sendable (Volume) async throws -> Void
  ) {
    self.line = line
    self.persistence = persistence
    self.run = run
  }
}
