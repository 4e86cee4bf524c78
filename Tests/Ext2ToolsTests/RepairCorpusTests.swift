import Ext2Tools
import Glibc
import Reactor
import Support
import Testing

/// Damaged volumes that are mended, and `e2fsck -p` to say which of them can be without asking.
///
/// `REPAIR_COUNT` is how many a run takes of each image (all: 0), `CORPUS_SEED` which, and
/// `CORPUS_ONE=image:offset:width:value` repeats one and prints what both say.
@Suite("A repair", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct RepairCorpusTests {
  @Test("mends what e2fsck -p mends, and touches nothing that it leaves to people", arguments: CheckImage.all)
  func agreement(image: CheckImage) throws {
    let bytes = try image.make()
    var generator = SeededGenerator(seed: CheckCorpusTests.number("CORPUS_SEED", 1))
    var mutations: [Mutation]
    if let one = CheckCorpusTests.text("CORPUS_ONE") {
      guard let mutation = Mutation(one, of: image) else { return }
      mutations = [mutation]
    } else {
      let fields = try VolumeFields(bytes)
      mutations = fields.fields.flatMap { fields.mutations(of: $0, using: &generator) }
      mutations += fields.flips(mutations.count / 10, using: &generator)
      mutations.shuffle(using: &generator)
      let count = CheckCorpusTests.number("REPAIR_COUNT", 40)
      if count > 0 { mutations = Array(mutations.prefix(Int(count))) }
    }
    let judge = try Judge(bytes)
    let checker = VolumeChecker()
    var disagreements: [String] = []
    for mutation in mutations {
      let damaged = MemoryBytes(bytes)
      try mutation.apply(to: damaged)
      if let difference = try difference(checker, damaged, judge, mutation) {
        disagreements.append("\(image.name):\(mutation): \(difference)")
        if mutations.count == 1 { print(judge.output) }
      }
    }
    #expect(
      disagreements.isEmpty,
      "\(disagreements.count) of \(mutations.count), repeat with CORPUS_ONE=…:\n\(disagreements.prefix(40).joined(separator: "\n"))"
    )
  }

  /// What is not as it should be, or nil.
  private func difference(
    _ checker: VolumeChecker, _ damaged: MemoryBytes, _ judge: Judge, _ mutation: Mutation
  ) throws -> String? {
    let before = damaged.bytes
    let theirs = try judge.mend(before)
    let said = judge.output
    let outcome: RepairOutcome
    do { outcome = try checker.repair(damaged, time: 1_700_000_000) } catch {
      // What cannot be checked is not touched; features of ext4 e2fsck knows and this project does not.
      if damaged.bytes != before { return "refused (\(error)), but changed" }
      if case .unsupportedFeatures = error { return nil }
      return theirs < 4 ? "refused (\(error)), e2fsck mends: \(theirs)" : nil
    }
    if !outcome.refusal.isEmpty {
      if damaged.bytes != before { return "refused \(outcome.refusal.prefix(3)), but changed" }
      if theirs >= 4 || Self.isRightToRefuse(outcome.refusal, said) { return nil }
      return "refused \(outcome.refusal.prefix(3)), e2fsck mends: \(theirs) \(said)"
    }
    let errors = try judge.exitCode(damaged.bytes)
    if errors != 0 { return "not clean afterwards: \(outcome.mended.prefix(3)) \(judge.output)" }
    if !(try checker.check(damaged).isClean) { return "clean for e2fsck, and not for this checker" }
    if theirs >= 4 { return "mended \(outcome.mended.prefix(3)), e2fsck leaves it to people: \(said)" }
    return nil
  }

  /// What this repair leaves to people where `e2fsck -p` goes on:
  ///
  /// - *A wrong journal.* e2fsck deletes it and makes a new one, which turns an ext2 volume into an ext3 one.
  /// - *A list of orphans.* ext2 has none; which of them are to be deleted the driver knows that made it.
  /// - *A bad block in an inode table.* e2fsck takes the inodes in it out of use, and says nothing.
  private static func isRightToRefuse(_ refusal: [CheckFinding], _ said: String) -> Bool {
    refusal.allSatisfy { finding in
      switch finding.kind {
      case .journal: true
      case _ where finding.inode == 8: said.contains("journal")
      case .orphanList: said.contains("orphaned inode")
      case .badBlockInMetadata: true
      default: false
      }
    }
  }
}
