// The only place where a continuation is touched.

/// The right to resume one suspended task, once. Hand it to `Reactor.resume`.
@safe public struct Resumption: Sendable {
  @usableFromInline let continuation: UnsafeContinuation<Int, Never>

  @inlinable init(_ continuation: UnsafeContinuation<Int, Never>) { unsafe self.continuation = continuation }

  @inlinable func resume(_ value: Int) { unsafe continuation.resume(returning: value) }
}

/// Suspends the current task until somebody resumes it, and returns the value it was resumed with.
///
/// `body` runs at once, before anything else can happen on the reactor, and stores the resumption.
@inlinable public func suspend(_ body: (Resumption) -> Void) async -> Int {
  unsafe await withUnsafeContinuation { body(unsafe Resumption($0)) }
}
