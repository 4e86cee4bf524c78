/// How far a copy is.
package struct TreeProgress: Equatable, Sendable {
  /// Names that are done, directories among them.
  package var nameCount: UInt64 = 0
  /// Bytes of contents that were copied; holes are not.
  package var byteCount: UInt64 = 0
}

/// What the one who starts a copy may say, and is told. Confined to the copy's task.
package final class TreeControl {
  /// Whether to go on with the next file after an error.
  package let keepsGoing: Bool
  /// Errors that did not end the copy; each was told to `onError`.
  package private(set) var failureCount = 0
  /// What is done so far.
  package private(set) var progress = TreeProgress()
  private let isStopRequested: @Sendable () -> Bool
  private let onError: @Sendable (TreeError) -> Void
  private let onWarning: @Sendable (String) -> Void
  private let onProgress: (@Sendable (TreeProgress) -> Void)?
  private var warnings: Set<String> = []

  /// - Parameters:
  ///   - isStopRequested: asked before each file and each piece of one.
  ///   - onError: told of each error after which the copy goes on.
  ///   - onWarning: told of what is not an error but should be known.
  ///   - onProgress: told after each file and each piece of one; it must not wait.
  package init(
    keepsGoing: Bool, isStopRequested: @escaping @Sendable () -> Bool,
    onError: @escaping @Sendable (TreeError) -> Void, onWarning: @escaping @Sendable (String) -> Void,
    onProgress: (@Sendable (TreeProgress) -> Void)? = nil
  ) {
    self.keepsGoing = keepsGoing
    self.isStopRequested = isStopRequested
    self.onError = onError
    self.onWarning = onWarning
    self.onProgress = onProgress
  }

  /// Runs what may fail by itself: where the copy keeps going, an error is told and counted, and that is all.
  package func attempt(_ body: () async throws(TreeError) -> Void) async throws(TreeError) {
    do { try await body() } catch { try note(error) }
  }

  /// As `attempt`, for an error that is there already.
  package func note(_ error: TreeError) throws(TreeError) {
    if error.endsEverything || !keepsGoing { throw error }
    failureCount += 1
    onError(error)
  }

  /// Says something once, however often it happens.
  func warnOnce(_ text: String) {
    if warnings.insert(text).inserted { onWarning(text) }
  }
  func warn(_ text: String) { onWarning(text) }

  /// Throws when somebody asked to stop.
  package func checkStop() throws(TreeError) {
    if isStopRequested() { throw TreeError("", .interrupted) }
  }

  package func noteBytes(_ count: Int) {
    progress.byteCount += UInt64(count)
    onProgress?(progress)
  }
  package func noteName() {
    progress.nameCount += 1
    onProgress?(progress)
  }
}
