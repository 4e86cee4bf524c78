import DeviceLayers
import Ext2
import Ext2Tools
import FaultLab
import PageCache
import Support
import Testing

@Suite("What a judge keeps from one state to the next", .enabled(if: Images.isAvailable, "mke2fs is needed"))
struct JudgeMemoryTests {
  @Test(
    "a judge that looks only at what has changed says what one says that looks at everything",
    arguments: [3, 11_111, 20_202, 33_333, 43_733])
  func verdicts(number: Int) throws {
    let image = try Images.prepared(try Images.empty(blockSize: 1024)) { rig in
      for step in Sequences.preparation(blockSize: 1024) { try await step.run(rig.volume) }
    }
    var options = CrashRecording.options(frees: .plain, seed: 1)
    // So that there are broken promises as well.
    options.cache.switchedOff = [.fsyncWritesOwnBlocks, .syncFlushes]
    let recording = try CrashRecording(Sequences.steps(number, length: 2), on: image, seed: 1, options: options)
    let judge = try CrashJudge(image), memory = JudgeMemory(imageByteCount: image.count)
    let medium = MemoryBytes(image)
    var states = MediumStates(of: recording.history, on: image)
    states.changes = memory.changes
    var begun = 0, ended = 0, judged = 0, broken = 0
    states.forEach(on: medium) { text in
      let words = text.split(separator: " ")
      if words[0] == "begin" { begun = Int(words[1]) ?? 0 } else { ended = Int(words[1]) ?? 0 }
      return true
    } visit: { state in
      // As an explorer does that knows some states already.
      if state.hash % 5 == 0 { return true }
      let expected = recording.observations.expectation(begun: begun, ended: ended, blockSize: 1024)
      let quick = judge.judge(medium, expected, memory: memory), whole = judge.judge(medium, expected)
      #expect(quick == whole)
      judged += 1
      if !whole.findings.isEmpty { broken += 1 }
      return quick == whole
    }
    #expect(judged > 20)
    #expect(medium.bytes == image, "the image is not as it was at first")
    if number == 43_733 { #expect(broken > 0) }
  }

  @Test("a set of sectors has those of the ranges that were put into it")
  func sectors() {
    let set = SectorSet(imageByteCount: 200 * 512)
    func isIn(_ sector: Int) -> Bool {
      let one = SectorSet(imageByteCount: 200 * 512)
      one.insert(bytes: sector * 512 + 1..<sector * 512 + 2)
      return !set.isDisjoint(with: one)
    }
    set.insert(bytes: 5..<5)
    #expect((0..<200).filter(isIn) == [])
    set.insert(bytes: 511..<513)
    set.insert(bytes: 60 * 512..<130 * 512)
    #expect((0..<200).filter(isIn) == [0, 1] + Array(60..<130))
    set.removeAll()
    #expect((0..<200).filter(isIn) == [])
  }
}
