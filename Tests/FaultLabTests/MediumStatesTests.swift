import BlockDevice
import DeviceLayers
import Ext2Tools
import FaultLab
import Testing

@Suite("States that a power cut may leave")
struct MediumStatesTests {
  /// A history written down by hand, on a medium of eight sectors.
  private struct Script {
    var history = DeviceHistory()
    private(set) var writes: [Int] = []

    /// Starts a write of sectors filled with a byte.
    mutating func write(_ byte: UInt8, _ sector: UInt64, count: Int = 1, isFUA: Bool = false) -> Int {
      history.start(
        RecordedWrite(
          operation: .write, offset: sector * 512, byteCount: count * 512,
          bytes: [UInt8](repeating: byte, count: count * 512), isFUA: isFUA))
    }
    mutating func done(_ writes: Int...) { for write in writes { history.complete(write, isDone: true) } }
    mutating func flush() { history.completeFlush(history.startFlush(), isDone: true) }

    /// The first byte of each sector in each state, each state once, in order.
    func states(
      _ rule: SubsetRule = .automatic, image: MemoryBytes = MemoryBytes([UInt8](repeating: 0, count: 4096))
    ) -> (states: [[UInt8]], isExhaustive: Bool) {
      var states = MediumStates(of: history, on: image.bytes, rule: rule)
      var byHash: [UInt64: [UInt8]] = [:]
      var found: [[UInt8]] = []
      states.forEach(on: image) { state in
        let bytes = stride(from: 0, to: 4096, by: 512).map { image.bytes[$0] }
        if let known = byHash[state.hash] {
          #expect(known == bytes, "equal hashes for different states")
        } else {
          #expect(!found.contains(bytes), "different hashes for equal states")
          byHash[state.hash] = bytes
          found.append(bytes)
        }
        return true
      }
      return (found.sorted { $0.lexicographicallyPrecedes($1) }, states.isExhaustive)
    }
  }

  private func medium(_ sectors: UInt8...) -> [UInt8] { sectors + [UInt8](repeating: 0, count: 8 - sectors.count) }

  @Test("what is not flushed may be there or not, in any combination, in flight or complete")
  func subsets() {
    var script = Script()
    let first = script.write(1, 0), second = script.write(2, 1)
    _ = script.write(3, 2)
    script.done(second, first)
    #expect(script.states().states.count == 8)
    #expect(script.states().states.contains(medium(0, 2, 3)))
  }

  @Test("a flush makes durable what was complete when it was submitted, and nothing else")
  func flushes() {
    var script = Script()
    let first = script.write(1, 0), second = script.write(2, 1)
    script.done(first)
    let flush = script.history.startFlush()
    script.done(second)
    script.history.completeFlush(flush, isDone: true)
    script.history.mark("here")
    var after: [[UInt8]] = []
    let image = MemoryBytes([UInt8](repeating: 0, count: 4096))
    var states = MediumStates(of: script.history, on: image.bytes)
    var isPastMark = false
    states.forEach(on: image) { _ in
      isPastMark = true
      return true
    } visit: { _ in
      if isPastMark { after.append(stride(from: 0, to: 1024, by: 512).map { image.bytes[$0] }) }
      return true
    }
    #expect(after == [[1, 0], [1, 2]])
    // One that failed makes nothing durable.
    var failing = Script()
    failing.done(failing.write(1, 0))
    failing.history.completeFlush(failing.history.startFlush(), isDone: false)
    #expect(failing.states().states == [medium(), medium(1)])
  }

  @Test("a forced write is durable when it completes, and no older one undoes it")
  func forced() {
    var script = Script()
    script.done(script.write(1, 0))
    script.done(script.write(2, 0, isFUA: true))
    script.history.mark("here")
    script.done(script.write(3, 1))
    #expect(script.states().states == [medium(), medium(1), medium(2), medium(2, 3)])
  }

  @Test("writes of the same sectors reach the medium in their order")
  func order() {
    var script = Script()
    script.done(script.write(1, 0, count: 2))
    script.done(script.write(2, 1))
    let states = script.states().states
    #expect(Set(states) == Set([medium(), medium(1), medium(0, 1), medium(1, 1), medium(0, 2), medium(1, 2)]))
  }

  @Test("a write of several sectors may be torn")
  func torn() {
    var script = Script()
    script.done(script.write(7, 2, count: 3))
    let states = script.states().states
    for torn in [medium(0, 0, 7), medium(0, 0, 7, 7), medium(0, 0, 0, 7, 7), medium(0, 0, 0, 0, 7)] {
      #expect(states.contains(torn))
    }
    #expect(states.count == 6)
  }

  @Test("a discard leaves zeroes")
  func discard() {
    var script = Script()
    script.done(script.write(1, 0))
    script.flush()
    _ = script.history.start(RecordedWrite(operation: .discard, offset: 0, byteCount: 512, bytes: []))
    #expect(script.states().states == [medium(), medium(1)])
  }

  @Test("up to twelve pending writes are exhausted; of more there are all prefixes, single ones and pairs, by seed")
  func many() {
    var few = Script()
    for sector in 0..<8 { few.done(few.write(UInt8(sector + 1), UInt64(sector))) }
    for sector in 0..<4 { few.done(few.write(UInt8(sector + 11), UInt64(sector))) }
    let all = few.states()
    // Of four sectors three contents each, of four two.
    #expect(all.isExhaustive && all.states.count == 81 * 16)
    few.done(few.write(20, 7))
    let some = few.states()
    #expect(!some.isExhaustive && some.states.count > 100 && some.states.count < 81 * 24)
    #expect(some.states == few.states().states)
    let exhausted = few.states(.exhaustive)
    #expect(exhausted.isExhaustive && exhausted.states.count == 81 * 24)
    let sampled = few.states(.sample(10))
    #expect(!sampled.isExhaustive && sampled.states.count <= 12)
  }

  @Test(
    "a walk through more states than anybody waits for ends when it is told to",
    arguments: [SubsetRule.exhaustive, .sample(1 << 40)])
  func stop(rule: SubsetRule) {
    var script = Script()
    for sector in 0..<48 { script.done(script.write(1, UInt64(sector % 8))) }
    let image = MemoryBytes([UInt8](repeating: 0, count: 4096))
    var states = MediumStates(of: script.history, on: image.bytes, rule: rule)
    var count = 0
    states.forEach(on: image) { _ in
      count += 1
      return count < 5
    }
    #expect(count == 5)
  }

  @Test("the image is what it was at first when all states were visited, or some")
  func end() {
    var script = Script()
    script.done(script.write(1, 0))
    script.flush()
    script.done(script.write(2, 1))
    let image = MemoryBytes([UInt8](repeating: 0, count: 4096))
    _ = script.states(image: image)
    #expect(image.bytes == [UInt8](repeating: 0, count: 4096))
    var states = MediumStates(of: script.history, on: image.bytes)
    states.forEach(on: image) { _ in image.bytes[0] == 0 }
    #expect(image.bytes == [UInt8](repeating: 0, count: 4096))
  }
}
