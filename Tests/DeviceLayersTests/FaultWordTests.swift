import BlockDevice
import DeviceLayers
import Reactor
import SystemPackage
import Testing

/// The mutants of fault rules: an implementation that overlooks a word of a rule, or takes one action for another, is a
/// rule without that word, or with another action. So each has to show in what the device does.
@Suite("Words of fault rules")
struct FaultWordTests {
  /// What a device with these rules does in a fixed course of requests: how each ended and when, what is stored and what
  /// is read afterwards.
  private static func course(_ rules: [String]) throws -> [String] {
    let parsed = try rules.map { text throws(FaultRuleError) in try FaultRule(text) }
    return try LayerRig.run(
      timeoutNanoseconds: 50_000_000,
      {
        StrictLayer(StatisticsLayer(FaultLayer(StatisticsLayer($0), rules: parsed)))
      }
    ) { (rig: LayerRig) async throws in
      var course: [String] = []
      let faults = rig.layer(FaultLayer.self)
      faults.regions = [NamedRegion("bitmap", 1024..<2048)]
      func note(_ name: String, _ body: () async throws(DeviceError) -> Void) async {
        var end = "done"
        do throws(DeviceError) { try await body() } catch { end = "\(error)" }
        course.append("\(rig.reactor.now.nanoseconds / 1000) µs: \(name): \(end)")
      }
      for round in UInt8(0)..<4 {
        async let early = Self.storedSoon(rig)
        await note("write 8") { () async throws(DeviceError) in try await rig.write(8, count: 4, 200 + round) }
        course.append("stored early: \(await early)")
        await note("write 5") { () async throws(DeviceError) in try await rig.write(5, 210 + round) }
        await note("flush") { () async throws(DeviceError) in try await rig.queue.flush() }
        for block in [2, 5, 8, 9, 10, 11, 24] {
          await note("read \(block)") { () async throws(DeviceError) in
            course.append("\(try await rig.read(block).reduce(into: UInt64(0)) { $0 = $0 &* 31 &+ UInt64($1) })")
          }
        }
        course.append("stored: \((4..<12).map(rig.stored))")
        await rig.reactor.sleep(until: rig.reactor.now.advanced(byNanoseconds: 1_000_000))
      }
      course.append("held: \(faults.heldCount), strict: \(rig.layer(StrictLayer.self).violations)")
      let below = (faults.inner as? StatisticsLayer)?.statistics.lines.mapValues(\.requestCount)
      course.append("below: \(Operation.allCases.map { below?[$0] ?? 0 })")
      faults.isEnabled = false
      faults.releaseHeld()
      await rig.reactor.sleep(until: rig.reactor.now.advanced(byNanoseconds: 200_000_000))
      return course
    }
  }

  private static func storedSoon(_ rig: LayerRig) async -> UInt8 {
    await rig.reactor.sleep(until: rig.reactor.now.advanced(byNanoseconds: 500_000))
    return rig.stored(8)
  }

  /// The rule without each of its words but operations and action.
  private static func shortened(_ text: String) -> [String] {
    guard let colon = text.firstIndex(of: ":") else { return [] }
    let head = text[..<colon], keys = text[text.index(after: colon)...].split(separator: ",")
    var rules: [String] = []
    for index in keys.indices.dropFirst() {
      var rest = keys
      rest.remove(at: index)
      rules.append("\(head):\(rest.joined(separator: ","))")
    }
    let tail = text[colon...]
    for mark in ["@", "!"] {
      guard let start = head.firstIndex(where: { mark.contains($0) }) else { continue }
      let end = head[head.index(after: start)...].firstIndex { "@!".contains($0) } ?? head.endIndex
      rules.append("\(head[..<start])\(head[end...])\(tail)")
    }
    return rules
  }

  @Test(
    "each word of a rule shows in what the device does",
    arguments: [
      "write@8:EIO", "read@5:EIO,nth=2", "write@bitmap:EIO", "read@bitmap:EIO", "write@data:EIO", "write@4k-5k:EIO",
      "write:EIO,nth=2,every=3", "write:EIO,every=2,count=2", "write:EIO,p=0.5", "read@5:EIO,heal=write",
      "read:EIO,heal=3", "write:EIO,after=1500us", "write:EIO,for=1500us", "write!complete:EIO,count=1",
      "write!complete:delay=5ms", "any:EIO,state=never", "write@5:torn=prefix:0,nth=2",
    ])
  func words(_ text: String) throws {
    let whole = try Self.course([text])
    for mutant in Self.shortened(text) {
      #expect(try Self.course([mutant]) != whole, "\(text) does what \(mutant) does")
    }
  }

  @Test("no action does what another does, or nothing")
  func actions() throws {
    let rules = [
      "write:EIO", "write:ENOSPC", "write:eagain,count=2", "write:short=700", "write:torn=prefix:2",
      "write:torn=suffix:2", "write:torn=mask:5", "write:phantom", "write:misdirect=16", "write:misdirect=-2",
      "read:rot=3", "read:stuck=2", "read:stale", "write:delay=3ms", "write!complete:delay=3ms", "write:hang",
      "write:duplicate", "flush:lie", "flush:EIO", "write:readonly,nth=2", "any:unplug=1ms,nth=4", "write:thin=2k",
      "write!complete:EIO", "write:EIO,count=1",
    ]
    let courses = try rules.map { try Self.course([$0]) } + [try Self.course([])]
    for (index, course) in courses.enumerated() {
      for other in courses.indices where other > index {
        let name = other < rules.count ? rules[other] : "no rule"
        #expect(course != courses[other], "\(rules[index]) does what \(name) does")
      }
    }
  }

  @Test("a state that one rule enters lets another fire, and one that it leaves does not")
  func states() throws {
    let pair = ["flush:lie,nth=2,set=armed", "write:EIO,state=armed,set=over"]
    let whole = try Self.course(pair)
    for mutant in [
      ["flush:lie,nth=2", pair[1]], [pair[0], "write:EIO,set=over"], [pair[0], "write:EIO,state=armed"],
    ] {
      #expect(try Self.course(mutant) != whole, "\(mutant)")
    }
  }
}
