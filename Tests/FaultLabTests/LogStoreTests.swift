import BlockDevice
import DeviceLayers
import Ext2Tools
import FaultLab
import LogStore
import Reactor
import Testing

@Suite("Somebody else's store under power cuts")
struct LogStoreTests {
  private static let byteCount = 64 << 10
  private static func value(_ number: Int) -> [UInt8] {
    (0..<100 + 300 * number).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ number) }
  }

  /// What the device was asked for while six values were put, two at a time, and made durable after the second and the
  /// fourth. `flushes`: whether the store really does that.
  private static func history(flushes: Bool = true) throws -> DeviceHistory {
    let reactor = SimulatedReactor(seed: 5)
    return try reactor.run {
      let disk = SimulatedDevice(
        reactor: reactor, geometry: Geometry(byteCount: UInt64(byteCount)), keepsDurable: false)
      let store = try LogStore(device: HistoryLayer(disk), on: reactor)
      for pair in 0..<3 {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for number in [2 * pair + 1, 2 * pair + 2] {
            group.addTask { try await store.put(UInt32(number), value(number)) }
          }
          try await group.waitForAll()
        }
        if pair < 2 {
          if flushes { try await store.synchronize() }
          await store.withDevice { ($0 as? HistoryLayer)?.mark("durable \(2 * pair + 2)") }
        }
      }
      let history = await store.withDevice { ($0 as? HistoryLayer)?.history ?? DeviceHistory() }
      await store.close()
      return history
    }
  }

  /// The first state in which the store has lost something, or has something that nobody put; and how many were judged.
  private static func judge(_ history: DeviceHistory, checksAll: Bool = true) -> (broken: String?, states: Int) {
    let image = MemoryBytes([UInt8](repeating: 0, count: byteCount))
    var states = MediumStates(of: history, on: image.bytes)
    var durable = 0, seen: Set<UInt64> = []
    var broken: String?
    states.forEach(on: image) { mark in
      durable = Int(mark.dropFirst("durable ".count)) ?? durable
      return true
    } visit: { state in
      seen.insert(state.hash)
      let found = LogStore.records(in: image.bytes, checksAll: checksAll)
      if found.count < durable { broken = "\(durable) records were durable, \(found.count) are there" }
      for record in found where record.value != value(Int(record.key)) { broken = "record \(record.key) is torn" }
      return broken == nil
    }
    return (broken, seen.count)
  }

  @Test("every state holds what was made durable, and nothing but what was put")
  func states() throws {
    let verdict = Self.judge(try Self.history())
    #expect(verdict.broken == nil)
    #expect(verdict.states > 30)
  }

  @Test("a store without checksums takes torn records for whole ones, and one that never flushes loses them")
  func mutants() throws {
    #expect(Self.judge(try Self.history(), checksAll: false).broken?.contains("is torn") == true)
    #expect(Self.judge(try Self.history(flushes: false)).broken?.contains("were durable") == true)
  }
}
