public import Reactor

extension SimulatedReactor {
  /// Runs a whole experiment on a fresh reactor.
  @discardableResult
  public static func run<T: Sendable>(
    seed: UInt64, policy: Policy? = nil, _ body: @escaping @Sendable (SimulatedReactor) async throws -> T
  ) throws -> T {
    let reactor = SimulatedReactor(seed: seed, policy: policy)
    return try reactor.run { try await body(reactor) }
  }
}
